import { get, post } from '../api.js';
import { loadOffers, loadPeers } from '../data.js';
import { faceOf } from '../face.js';
import { button, growBox, h, hintLine, metaText, para, setText, visible } from '../dom.js';
import { ago, bytes } from '../format.js';
import { later, t } from '../i18n.js';
import { VirtualList } from '../list.js';
import { Shelf, lastPart } from '../shelf.js';
import { isOwner, on, state } from '../store.js';
import { fetchFile } from '../transfers.js';
import { attempt, badge, called, command, confirm, dialog, empty, loadingText, ownPeer, pathText, rowActions, toast, viewHead, withParam } from '../ui.js';

const EVERY_MS = 10000;
const TRUST = {
	trusted: ['ok', 'shield'],
	verified: ['', 'check'],
	new: ['', 'info'],
	changed: ['bad', 'alert'],
	blocked: ['bad', 'block'],
};

const label = called;
const addressOf = (peer) => (peer.ip.includes(':') ? `[${peer.ip}]:${peer.port}` : `${peer.ip}:${peer.port}`);

const mirrors = () => later(import('../mirrors.js'));
const showMirrors = () => attempt(async () => (await mirrors()).showMirrors());

/** All files of one device, as folders; those that have arrived can be filtered and downloaded at once. */
async function browse(peer, at = '') {
	const status = h('p', { class: 'hint', role: 'status' }, t('loading'));
	const fetchOne = (one) => fetchFile({ ...one, name: one.folder ? `${one.name}/` : one.name, peers: [peer] });
	const getAll = async (entries) => {
		for (const one of entries) await fetchOne(one);
		shelf.clear();
	};
	const shelf = new Shelf({
		label: t('peer.files', { name: label(peer) }),
		root: label(peer),
		go: (to) => {
			shelf.show(to);
			history.replaceState(history.state, '', withParam('at', to || null));
		},
		open: fetchOne,
		actions: (one) => [
			{ id: 'get', icon: 'download', label: `${t('get')}: ${visible(lastPart(one.name))}`, run: () => fetchOne(one) },
			...(one.folder && isOwner()
				? [
						{
							id: 'mirror',
							icon: 'transfers',
							label: `${t('mir.add')}: ${visible(lastPart(one.name))}`,
							run: () => attempt(async () => (await mirrors()).addMirror(peer, one.name)),
						},
					]
				: []),
		],
		chosen: [{ icon: 'download', label: t('get'), run: getAll }],
		describe: (f) => bytes(f.size),
	});
	const files = [];
	let ended = false;
	const load = async () => {
		let next = '';
		do {
			const cursor = next ? `&cursor=${encodeURIComponent(next)}` : '';
			const data = await get(`peers/${peer.peer_id_full}/files?limit=1000${cursor}`);
			next = data.next;
			files.push(...data.files, ...data.empty_folders.map((name) => ({ name })));
			setText(status, files.length ? t('n.files', { n: files.length }) : t('peer.nofiles'));
			shelf.set(files, { fresh: true, loaded: !next });
		} while (next && !ended);
	};
	shelf.at = at;
	const shown = dialog({ title: t('peer.files', { name: label(peer) }), className: 'wide browse', body: [status, shelf.el], param: ['id', peer.peer_id_full] });
	shelf.sort.hidden = true;
	await load().catch((error) => {
		const silent = error.code === 'peer_offline';
		setText(status, silent ? t('peer.silent', { name: label(peer) }) : (error.text ?? error.message));
	});
	await shown;
	ended = true;
	shelf.end();
}

/** The words of both screens decide. */
const compare = (peer) =>
	attempt(async () => {
		if (await (await later(import('../compare.js'))).compare(peer)) verb(peer, 'trust');
	});

const faceFor = (peer) => ({ to: peer.peer_id_full, name: label(peer), look: peer });
const sender = () => import('../send.js');

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

/** An empty name takes the owner's own name away. */
async function rename(peer) {
	const input = h('input', {
		type: 'text',
		id: 'peer-name',
		value: peer.name ?? '',
		autofocus: true,
		autocomplete: 'off',
		maxlength: 63,
		dir: 'auto',
	});
	await dialog({
		title: label(peer),
		body: [h('label', { for: 'peer-name' }, t('peer.name.label')), input],
		actions: [{ label: t('cancel'), value: null }, { label: t('rename'), value: 'yes', main: true }],
		submit: async () => {
			await post(`peers/${peer.peer_id_full}/name`, { name: input.value.trim() || null });
			await loadPeers();
		},
	});
}

export function actionsOf(peer) {
	const look = { id: 'browse', icon: 'folder', label: t('browse'), run: () => browse(peer) };
	const trust = {
		id: 'trust',
		icon: 'shield',
		label: t('trust'),
		run: () => compare(peer),
	};
	const stop = { id: 'block', icon: 'block', label: t('block'), danger: true, run: () => block(peer) };
	const lift = { id: 'trust', icon: 'check', label: t('unblock'), run: () => verb(peer, 'trust') };
	const drop = { id: 'forget', icon: 'trash', label: t('forget'), run: () => verb(peer, 'forget') };
	const copyId = {
		id: 'id',
		icon: 'finger',
		label: t('compare'),
		run: () => compare(peer),
	};
	const name = { id: 'name', icon: 'edit', label: t('rename'), run: () => rename(peer) };
	const send = { id: 'send', icon: 'share', label: t('send'), run: async () => (await sender()).sendSheet(faceFor(peer)) };
	if (peer.self) return [copyId];
	return (
		{
			blocked: [lift, copyId, drop],
			changed: [trust, copyId, stop, drop],
			verified: [send, look, name, copyId, stop, drop],
		}[peer.trust] ?? [send, look, trust, name, copyId, stop]
	);
}

const KINDS = ['laptop', 'desktop', 'phone', 'server', 'tablet'];

function peerRow(first) {
	let peer = first;
	const face = faceOf(peer);
	const name = h('bdi', { class: 'name' });
	const id = h('span', { class: 'meta mono' });
	const meta = metaText();
	const marks = h('span', { class: 'badges' });
	const why = h('p', { class: 'why' }, t('changed.text'));
	const actions = rowActions(() => label(peer), () => actionsOf(peer));
	let drawn = '';
	const row = {
		el: h(
			'div',
			{ class: 'row tall' },
			h(
				'div',
				{ class: 'row-main' },
				face,
				growBox(h('div', { class: 'line' }, name, marks), id, meta, why),
				actions.el,
			),
		),
		menu: actions.menu,
		update(next) {
			peer = next;
			setText(name, label(peer));
			setText(id, peer.words?.split(' ').slice(0, 4).join(' '));
			setText(
				meta,
				[
					KINDS.includes(peer.kind) && t(`kind.${peer.kind}`),
					t('n.files', { n: peer.files }),
					isOnline(peer) ? t('online') : t('seen', { time: ago(peer.last_seen) }),
					addressOf(peer),
					pathText(peer.path),
					peer.self || peer.found_by === 'registry' ? null : t(`by.${peer.found_by ?? 'registry'}`),
				]
					.filter(Boolean)
					.join(' · '),
			);
			why.hidden = peer.trust !== 'changed';
			const trust = peer.trust === 'verified' && peer.trusted ? 'trusted' : (peer.trust ?? 'new');
			const shape = `${peer.self} ${trust}`;
			if (shape === drawn) return;
			drawn = shape;
			const [tone, mark] = TRUST[trust] ?? TRUST.new;
			marks.replaceChildren(
				peer.self ? badge('accent', t('self')) : badge(tone, t(`trust.${trust}`), mark),
			);
			actions.update();
		},
	};
	if (!first.self) sender().then(({ dropOn }) => dropOn(row.el, () => faceFor(peer)));
	return row;
}

export async function addPeer() {
	const input = h('input', {
		type: 'text',
		id: 'peer-address',
		placeholder: '192.168.1.20:9000',
		autofocus: true,
		autocomplete: 'off',
		spellcheck: 'false',
		dir: 'ltr',
		required: true,
	});
	const body = [h('label', { for: 'peer-address' }, t('peer.address')), input, hintLine(t('peer.address.hint'))];
	const submit = async () => {
		const peer = await post('peers', { address: input.value.trim() });
		loadPeers().catch(() => {});
		toast(t('peer.added', { name: label(peer) }), { kind: 'ok' });
	};
	await dialog({
		title: t('peer.add'),
		body,
		actions: [{ label: t('cancel'), value: null }, { label: t('add'), value: 'yes', main: true }],
		submit,
	});
}

// The second peer of the documentation, with this peer's registry.
function startPeer() {
	const registry = state.status?.discovery?.[0]?.url.replace(/\/$/, '');
	const elsewhere = registry && registry !== 'http://localhost:8000' ? ` --discovery ${registry}` : '';
	return `bin/p2p-peer --port 9001 --shared-dir shared_b --keys-dir keys_b${elsewhere}`;
}

const ONLINE_S = 120;
const isOnline = (peer) => !peer.last_seen || Date.now() / 1000 - peer.last_seen < ONLINE_S;

export function peersView() {
	const refresh = button(t('refresh'), {
		icon: 'retry',
		onclick: () => attempt(loadPeers),
		'aria-keyshortcuts': 'r',
	});
	const ownMirrors = button(t('mir'), { icon: 'transfers', onclick: showMirrors, hidden: true });
	const head = viewHead(t('peers'), refresh, ownMirrors, button(t('peer.add'), { icon: 'plus', onclick: addPeer }));
	const notice = h('div', {});
	const list = new VirtualList(t('peers'), {
		key: (p) => `${p.peer_id_full} ${addressOf(p)}`,
		create: peerRow,
		tall: true,
	});
	const start = command(startPeer());
	const nothing = empty('peers', t('peers.empty'), t('peers.empty.text'), start);
	const card = h('section', { class: 'card', 'aria-label': t('peers') }, list.el, nothing);
	const paired = h('section', { class: 'card', hidden: true, 'aria-label': t('send.paired') });
	const el = h('div', { class: 'view' }, head.el, notice, card, paired);
	on('offers', async () => (await sender()).pairedFaces(paired));

	const warn = () => {
		const lost = state.peers.loaded && !state.peers.reachable;
		const off = state.status?.peer_running === false;
		const unknown = !lost && state.status && !state.status.registered;
		const url = state.status?.discovery?.[0]?.url ?? 'http://localhost:8000';
		if (state.status?.discovery?.length === 0)
			return [badge('', t('registry.none'), 'info'), para(t('registry.none.text')), command('p2p config set discovery URL')];
		if (lost)
			return [
				badge('warn', t('registry.lost'), 'alert'),
				para(t('registry.lost.text', { url })),
				command('bin/p2p-discovery'),
			];
		if (off) return [badge('warn', t('peer.off'), 'alert'), para(t('peer.off.text')), command(ownPeer())];
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
	const render = (fresh = false) => {
		const others = state.peers.list.filter((p) => !p.self);
		const all = [...others, ...state.peers.list.filter((p) => p.self)];
		const { loaded } = state.peers;
		const reachable = state.peers.reachable || state.status?.discovery?.length === 0; // none was to be asked
		head.say(loaded ? t('n.peers', { n: others.length }) : loadingText());
		card.hidden = !loaded;
		list.set(all, fresh);
		ownMirrors.hidden = !isOwner();
		setText(start.firstElementChild, startPeer());
		nothing.hidden = !loaded || others.length > 0;
		setText(nothing.querySelector('h2'), t(reachable ? 'peers.empty' : 'peers.unseen'));
		for (const el of [start, nothing.querySelector('p')]) el.hidden = !reachable;
		const warning = warn();
		const shape = warning ? warning[0].textContent : '';
		if (notice.dataset.shape !== shape) {
			notice.dataset.shape = shape;
			notice.replaceChildren(...(warning ? [h('div', { class: 'notice warn' }, warning)] : []));
		}
	};
	on('peers status connection', () => render());
	render();
	return {
		el,
		show: () => {
			render(true);
			loadOffers().catch(() => {});
			return attempt(loadPeers);
		},
		open: async (query) => {
			const id = query.get('id');
			if (!id || document.querySelector('dialog.browse')) return;
			if (!state.peers.loaded) await attempt(loadPeers);
			const peer = state.peers.list.find((p) => p.peer_id_full === id);
			if (peer && !peer.self) browse(peer, query.get('at') ?? '');
			else if (!peer) toast(t('peer.gone'), { kind: 'error' });
		},
		every: EVERY_MS,
		tick: () => loadPeers().catch(() => {}),
		refresh: () => attempt(loadPeers),
	};
}
