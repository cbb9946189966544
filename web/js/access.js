// Who may see a shared folder: loaded when it is asked for.
import { api, post } from './api.js';
import { loadGrants, loadPeers } from './data.js';
import { h, hintLine, para, visible } from './dom.js';
import { faceOf } from './face.js';
import { ruleOf } from './files.js';
import { t } from './i18n.js';
import { state } from './store.js';
import { attempt, called, dialog, short, toast } from './ui.js';

const radio = (value, checked, ...text) =>
	h('label', { class: 'check' }, h('input', { type: 'radio', name: 'who', value, checked }), h('span', {}, text));

/** The devices one may choose: those that are known here, and those that the rule names already. */
function choices(rule) {
	const peers = new Map();
	for (const p of state.peers.list) if (!p.self && p.trust !== 'blocked') peers.set(p.peer_id_full, p);
	for (const id of rule?.peers ?? []) if (!peers.has(id)) peers.set(id, { peer_id_full: id });
	return [...peers.values()];
}

function deviceBox(peer, rule) {
	const box = h('input', { type: 'checkbox', value: peer.peer_id_full, checked: rule?.peers.includes(peer.peer_id_full) });
	const name = peer.name || peer.ip ? called(peer) : short(peer.peer_id_full);
	return h('label', { class: 'check' }, box, faceOf(peer), h('bdi', {}, name));
}

export const showAccess = (folder) =>
	attempt(async () => {
		await Promise.all([loadGrants(), loadPeers().catch(() => {})]);
		const rule = ruleOf(folder);
		const own = rule?.folder === `${folder}/` ? rule : null;
		const now = own ? (own.everyone ? 'all' : 'some') : 'none';
		const above = rule && !own ? rule : state.grants.find((g) => g.folder !== `${folder}/` && (g.folder === '/' || `${folder}/`.startsWith(g.folder)));
		const boxes = choices(rule).map((peer) => deviceBox(peer, rule));
		const list = h('fieldset', { class: 'who', 'aria-label': t('peers') }, boxes.length ? boxes : para(t('acc.nobody')));
		const form = h(
			'div',
			{ role: 'radiogroup', 'aria-label': t('acc') },
			radio('none', now === 'none', above ? t('acc.above', { name: visible(above.folder) }) : t('acc.default')),
			above ? radio('all', now === 'all', t('acc.all')) : '',
			radio('some', now === 'some', t('acc.some')),
		);
		const chosen = () => form.querySelector('input:checked').value;
		const show = () => {
			list.hidden = chosen() !== 'some';
		};
		form.addEventListener('change', show);
		show();
		const submit = async () => {
			const peers = [...list.querySelectorAll('input:checked')].map((box) => box.value);
			const who = chosen();
			if (who === 'some') await post('grants', { folder, peers });
			else if (who === 'all') await post('grants', { folder, everyone: true });
			else if (own) await api('DELETE', `grants/${own.id}`);
			await loadGrants();
		};
		const saved = await dialog({
			title: t('acc.of', { name: visible(folder.split('/').pop()) }),
			body: [form, list, hintLine(t('acc.hint'))],
			actions: [{ label: t('cancel'), value: null }, { label: t('acc.save'), value: 'yes', main: true }],
			submit,
		});
		if (saved) toast(t('acc.saved'), { kind: 'ok' });
	});
