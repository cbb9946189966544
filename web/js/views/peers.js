import { get, post } from '../api.js';
import { loadPeers } from '../data.js';
import { button, fileIcon, fileName, growBox, grow, h, hintLine, icon, item, metaText, para, setAttr, setText, visible } from '../dom.js';
import { ago, bytes } from '../format.js';
import { t } from '../i18n.js';
import { KeyedList } from '../list.js';
import { on, state } from '../store.js';
import { fetchFile } from '../transfers.js';
import { attempt, badge, called, command, confirm, dialog, empty, rowActions, short, toast, viewHead } from '../ui.js';
import { startPeer } from './search.js';

const EVERY_MS = 10000;
const TRUST = {
	verified: ['ok', 'shield'],
	new: ['', 'info'],
	changed: ['bad', 'alert'],
	blocked: ['bad', 'block'],
};

const label = called;
const addressOf = (peer) => (peer.ip.includes(':') ? `[${peer.ip}]:${peer.port}` : `${peer.ip}:${peer.port}`);

/** The files of one peer, page by page. */
async function browse(peer) {
	const status = h('p', { class: 'hint', role: 'status' }, t('loading'));
	const list = h('ul', { class: 'sources' });
	let next = '';
	const more = button(t('show.more'), { kind: 'quiet wide', hidden: true, onclick: () => load() });
	const load = async () => {
		try {
			const data = await get(
				`peers/${peer.peer_id_full}/files?limit=200${next ? `&cursor=${encodeURIComponent(next)}` : ''}`,
			);
			next = data.next;
			more.hidden = !next;
			list.append(
				...[...data.files, ...data.empty_folders.map((name) => ({ name }))].map((f) =>
					item(f.root ? fileIcon(f.name) : icon('folder'),
						grow(fileName(f.name), metaText(f.root ? bytes(f.size) : '')),
						button(`${t('get')}: ${visible(f.name)}`, {
							icon: 'download',
							bare: true,
							onclick: () => fetchFile({ ...f, peers: [peer] }),
						}),
					),
				),
			);
			setText(status, list.children.length ? '' : t('peer.nofiles'));
		} catch (error) {
			setText(status, error.text ?? error.message);
		}
	};
	const shown = dialog({
		title: t('peer.files', { name: label(peer) }),
		className: 'wide',
		body: [status, list, more],
	});
	await load();
	await shown;
}

async function trustChanged(peer) {
	const sure = await dialog({
		title: t('trust.title'),
		body: [
			para(t('trust.text')),
			peer.known_as && hintLine(t('trust.before')),
			peer.known_as && command(peer.known_as),
			hintLine(t('trust.now')),
			command(peer.peer_id_full),
		],
		actions: [
			{ label: t('cancel'), value: null },
			{ label: t('trust'), value: 'yes', main: true, danger: true },
		],
	});
	if (sure) verb(peer, 'trust');
}

const verb = (peer, name) =>
	attempt(async () => {
		await post(`peers/${peer.peer_id_full}/${name}`);
		await loadPeers();
		toast(t(`peer.${name}.done`, { name: label(peer) }), { kind: 'ok' });
	});

async function block(peer) {
	if (await confirm(t('block.title', { name: label(peer) }), t('block.text'), t('block')))
		verb(peer, 'block');
}

function actionsOf(peer) {
	const look = { id: 'browse', icon: 'folder', label: t('browse'), run: () => browse(peer) };
	const trust = {
		id: 'trust',
		icon: 'shield',
		label: t('trust'),
		run: () => (peer.trust === 'changed' ? trustChanged(peer) : verb(peer, 'trust')),
	};
	const stop = { id: 'block', icon: 'block', label: t('block'), danger: true, run: () => block(peer) };
	const lift = { id: 'trust', icon: 'check', label: t('unblock'), run: () => verb(peer, 'trust') };
	const drop = { id: 'forget', icon: 'close', label: t('forget'), run: () => verb(peer, 'forget') };
	const copyId = {
		id: 'id',
		icon: 'copy',
		label: t('peer.id'),
		run: () =>
			dialog({ title: label(peer), body: [hintLine(t('peer.id.text')), command(peer.peer_id_full)] }),
	};
	if (peer.self) return [copyId];
	return (
		{
			blocked: [lift, copyId, drop],
			changed: [trust, copyId, stop, drop],
			verified: [look, copyId, stop, drop],
		}[peer.trust] ?? [look, trust, copyId, stop]
	);
}

function peerRow(first) {
	let peer = first;
	const name = h('bdi', { class: 'name' });
	const id = h('span', { class: 'meta mono' });
	const meta = metaText();
	const marks = h('span', { class: 'badges' });
	const why = h('p', { class: 'why' }, t('changed.text'));
	const actions = rowActions(() => label(peer), () => actionsOf(peer));
	let drawn = '';
	return {
		el: h(
			'div',
			{ class: 'row tall' },
			h(
				'div',
				{ class: 'row-main' },
				h('span', { class: 'kind', 'data-kind': 'peer' }, icon('peers')),
				growBox(h('div', { class: 'line' }, name, marks), id, meta, why),
				actions.el,
			),
		),
		update(next) {
			peer = next;
			setText(name, label(peer));
			setText(id, peer.name ? short(peer.peer_id_full) : '');
			setAttr(id, 'title', peer.peer_id_full);
			setText(
				meta,
				[
					addressOf(peer),
					t('n.files', { n: peer.files }),
					peer.last_seen ? t('seen', { time: ago(peer.last_seen) }) : null,
					peer.self ? null : t(`by.${peer.found_by ?? 'registry'}`),
				]
					.filter(Boolean)
					.join(' · '),
			);
			why.hidden = peer.trust !== 'changed';
			const shape = `${peer.self} ${peer.trust} ${peer.verified}`;
			if (shape === drawn) return;
			drawn = shape;
			const [tone, mark] = TRUST[peer.trust] ?? TRUST.new;
			marks.replaceChildren(
				peer.self ? badge('accent', t('self')) : badge(tone, t(`trust.${peer.trust ?? 'new'}`), mark),
			);
			actions.update();
		},
	};
}

async function addPeer() {
	const input = h('input', {
		type: 'text',
		id: 'peer-address',
		placeholder: '192.168.1.20:9000',
		autofocus: true,
		autocomplete: 'off',
		spellcheck: 'false',
		dir: 'ltr',
	});
	const body = [h('label', { for: 'peer-address' }, t('peer.address')), input, hintLine(t('peer.address.hint'))];
	const value = await dialog({
		title: t('peer.add'),
		body,
		actions: [{ label: t('cancel'), value: null }, { label: t('add'), value: 'yes', main: true }],
	});
	if (!value || !input.value.trim()) return;
	await attempt(async () => {
		const peer = await post('peers', { address: input.value.trim() });
		await loadPeers();
		toast(t('peer.added', { name: label(peer) }), { kind: 'ok' });
	});
}

export function peersView() {
	const refresh = button(t('refresh'), {
		icon: 'retry',
		onclick: () => attempt(loadPeers),
		'aria-keyshortcuts': 'r',
	});
	const head = viewHead(t('peers'), refresh, button(t('peer.add'), { icon: 'plus', onclick: addPeer }));
	const notice = h('div', {});
	const list = new KeyedList(t('peers'), { key: (p) => `${p.peer_id_full} ${addressOf(p)}`, create: peerRow });
	const start = command(startPeer());
	const nothing = empty('peers', t('peers.empty'), t('peers.empty.text'), start);
	const card = h('section', { class: 'card', 'aria-label': t('peers') }, list.el, nothing);
	const more = button(t('show.more'), {
		kind: 'quiet wide',
		hidden: true,
		onclick: () => {
			limit += 100;
			render();
		},
	});
	card.append(more);
	const el = h('div', { class: 'view' }, head.el, notice, card);
	let limit = 100;

	const warn = () => {
		const lost = state.peers.loaded && !state.peers.reachable;
		const unknown = !lost && state.status && !state.status.registered;
		const url = state.status?.discovery?.[0]?.url ?? 'http://localhost:8000';
		if (lost)
			return [
				badge('warn', t('registry.lost'), 'alert'),
				para(t('registry.lost.text', { url })),
				command('bin/p2p-discovery'),
			];
		if (unknown)
			return [
				badge('warn', t('registry.not'), 'alert'),
				para(t('registry.not.text')),
				button(t('registry.now'), {
					onclick: () =>
						attempt(async () => {
							await post('register', { port: state.status.port });
							await loadPeers();
							toast(t('registered'), { kind: 'ok' });
						}),
				}),
			];
		return null;
	};
	const render = () => {
		const others = state.peers.list.filter((p) => !p.self);
		const all = [...others, ...state.peers.list.filter((p) => p.self)];
		head.say(state.peers.loaded ? t('n.peers', { n: others.length }) : t('loading'));
		list.set(all.slice(0, limit));
		more.hidden = all.length <= limit;
		setText(start.firstElementChild, startPeer());
		nothing.hidden = !state.peers.loaded || others.length > 0;
		const warning = warn();
		const shape = warning ? warning[0].textContent : '';
		if (notice.dataset.shape !== shape) {
			notice.dataset.shape = shape;
			notice.replaceChildren(...(warning ? [h('div', { class: 'notice warn' }, warning)] : []));
		}
	};
	on('peers status', render);
	render();
	return {
		el,
		show: () => {
			render();
			return attempt(loadPeers);
		},
		every: EVERY_MS,
		tick: () => loadPeers().catch(() => {}),
		refresh: () => attempt(loadPeers),
	};
}
