// Folders here that follow folders of other devices: loaded when they are asked for.
import { api, get, post } from './api.js';
import { button, grow, h, hintLine, item, metaText, para, visible } from './dom.js';
import { ago, bytes } from './format.js';
import { t } from './i18n.js';
import { on, state } from './store.js';
import { attempt, badge, called, confirm, dialog, short, toast } from './ui.js';

const TONES = { in_step: ['ok', 'check'], waiting: ['warn', 'alert'], away: ['warn', 'clock'], failed: ['bad', 'alert'] };

const peerName = (id) => {
	const peer = state.peers.list.find((p) => p.peer_id_full === id);
	return peer ? called(peer) : short(id);
};

function numbers(m) {
	const held = m.held.changes + m.held.removals;
	return [
		t('n.files', { n: m.files }),
		bytes(m.bytes),
		m.todo ? t('mir.todo', { n: m.todo }) : '',
		held ? t('mir.held', { changes: m.held.changes, removals: m.held.removals }) : '',
		m.checked_at ? t('mir.checked', { time: ago(m.checked_at) }) : '',
	]
		.filter(Boolean)
		.join(' · ');
}

/** Some names of what waits. */
function examples({ held }) {
	const more = held.changes + held.removals > held.examples.length ? ' …' : '';
	return held.examples.map((f) => `${f.removal ? '−' : ''}${visible(f.name)}`).join(', ') + more;
}

/** What can be done with a mirror now. */
function actions(m, act) {
	const held = m.held.changes + m.held.removals > 0;
	const pause = m.state === 'paused' ? 'resume' : 'pause';
	const press = (verb, label, more) => button(label, { 'data-key': `${m.id} ${verb}`, onclick: () => act(verb), ...more });
	return [
		held && press('accept', t('mir.accept'), { kind: 'primary' }),
		press(pause, t(pause)),
		pause === 'pause' && press('check', t('mir.check'), { icon: 'retry', bare: true }),
		press('remove', t('mir.remove'), { icon: 'trash', bare: true, kind: 'danger' }),
	];
}

function mirrorRow(m, reload) {
	const [tone, mark] = TONES[m.state] ?? ['', 'info'];
	const act = (verb) =>
		attempt(async () => {
			if (verb !== 'remove') await post(`mirrors/${m.id}/${verb}`);
			else if (await confirm(t('mir.remove.title'), t('mir.remove.text'), t('mir.remove'))) await api('DELETE', `mirrors/${m.id}`);
			await reload();
		});
	const from = t('mir.from', { folder: visible(m.folder) || t('mir.all'), peer: peerName(m.peer_id) });
	return item(
		grow(
			h('div', { class: 'line' }, h('bdi', {}, from), badge(tone, t(`mir.${m.state}`), mark)),
			metaText(`→ ${visible(m.target)}`),
			metaText(numbers(m)),
			m.held.examples.length ? metaText(examples(m)) : '',
			m.message ? h('p', { class: 'why', lang: 'en', dir: 'ltr' }, m.message) : '',
		),
		h('span', { class: 'hist-acts' }, actions(m, act)),
	);
}

export const showMirrors = () =>
	attempt(async () => {
		const list = h('div', { 'aria-live': 'polite' });
		let shown = '';
		// The button that has the focus keeps it, and a row that says the same as before stays.
		const reload = async () => {
			const { mirrors } = await get('mirrors');
			const news = JSON.stringify(mirrors);
			if (news === shown) return;
			shown = news;
			const key = list.contains(document.activeElement) ? document.activeElement.dataset.key : null;
			list.replaceChildren(
				mirrors.length ? h('ul', { class: 'sources' }, mirrors.map((m) => mirrorRow(m, reload))) : para(t('mir.none')),
			);
			if (key) [...list.querySelectorAll('[data-key]')].find((b) => b.dataset.key === key)?.focus();
		};
		await reload();
		const stop = on('mirror', () => reload().catch(() => {}));
		await dialog({ title: t('mir'), className: 'history', body: [list, hintLine(t('mir.text'))] });
		stop();
	});

/** Asks where to, and adds a mirror of a peer's folder ('' is everything). */
export async function addMirror(peer, folder) {
	const name = folder.split('/').pop() || called(peer).replaceAll('/', ' ');
	const input = h('input', { type: 'text', id: 'mirror-to', value: name, autofocus: true, autocomplete: 'off', required: true, maxlength: 255, dir: 'auto' });
	const follow = h('input', { type: 'checkbox', id: 'mirror-delete' });
	const done = await dialog({
		title: t('mir.add.of', { folder: visible(folder) || t('mir.all') }),
		body: [
			h('label', { for: 'mirror-to' }, t('mir.to')),
			input,
			h('label', { class: 'check' }, follow, h('span', {}, t('mir.delete'))),
			hintLine(t('mir.text')),
		],
		actions: [{ label: t('cancel'), value: null }, { label: t('mir.add'), value: 'yes', main: true }],
		submit: () => post('mirrors', { peer_id: peer.peer_id_full, folder, target: input.value.trim(), delete: follow.checked }),
	});
	if (!done) return;
	toast(t('mir.added'), { kind: 'ok' });
	await showMirrors();
}
