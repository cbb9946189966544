// Everything that the commands of `p2p` do, as actions of the page: what runs here, or why it does not.
// Loaded with the command palette.
import { get, post } from './api.js';
import { loadPeers } from './data.js';
import { openActivity } from './dock.js';
import { later, t } from './i18n.js';
import { showKeys } from './keytable.js';
import { isOwner, state } from './store.js';
import { act, all, fetchFile, statusText, totals } from './transfers.js';
import { attempt, called, quoted, toast } from './ui.js';
import { visible } from './dom.js';

const go = (hash) => () => {
	location.hash = hash;
};
const whenShown = (find) =>
	new Promise((resolve) => {
		const look = (tries) => {
			const el = find();
			if (el || tries === 0) resolve(el);
			else setTimeout(look, 50, tries - 1);
		};
		look(40);
	});
const focusOn = (hash, css) => async () => {
	location.hash = hash;
	(await whenShown(() => location.hash === hash && document.querySelector(css)))?.focus();
};

const history = () => later(import('./history.js'));
const mirrors = () => attempt(async () => (await later(import('./mirrors.js'))).showMirrors());
const links = () => attempt(async () => (await later(import('./links.js'))).showLinks());
const sendText = () => attempt(async () => (await import('./send.js')).sendTo([]));
const pairOne = () => attempt(async () => (await later(import('./views/settings.js'))).pairDevice());
const peersView = () => import('./views/peers.js');
const compareOwn = () =>
	attempt(async () => {
		await loadPeers();
		const self = state.peers.list.find((p) => p.self);
		if (self) await (await later(import('./compare.js'))).compare(self);
		else location.hash = '#/settings?at=about';
	});
const rescan = () =>
	attempt(async () => {
		await post('shares/rescan');
		toast(t('rescan.done'), { kind: 'ok' });
	});
const showInbox = async () => {
	const first = document.querySelector('.inbox button');
	if (first) first.focus();
	else toast(t('pal.inbox.none'));
};

/**
 * One row for each command, and for each of its verbs, as `p2p --help` lists them: [command, verb, rest of the line,
 * icon, what runs]. Instead of a function, a text is the key of the reason why the page does not do it.
 */
const COMMANDS = [
	['get', '', 'NAME', 'download', focusOn('#/search', '#search-box')],
	['send', '', '--to DEVICE --text TEXT', 'share', sendText],
	['receive', '', 'CODE', 'download', 'pal.why.code'],
	['inbox', '', '', 'share', showInbox],
	['inbox', 'accept', 'ID', 'check', showInbox],
	['inbox', 'decline', 'ID', 'close', showInbox],
	['inbox', 'always', 'DEVICE', 'check', showInbox],
	['inbox', 'ask', 'DEVICE', 'info', 'pal.why.terminal'],
	['search', '', 'TEXT', 'search', focusOn('#/search', '#search-box')],
	['peers', '', '', 'peers', go('#/peers')],
	['peers', 'trust', 'PEER', 'shield', go('#/peers')],
	['peers', 'forget', 'PEER', 'trash', go('#/peers')],
	['peers', 'block', 'PEER', 'block', go('#/peers')],
	['ls', '', 'PEER', 'folder', go('#/peers')],
	['status', '', '', 'info', go('#/settings?at=about')],
	['id', '', '--words', 'finger', compareOwn],
	['key', 'show', '', 'finger', compareOwn],
	['key', 'protect', '', 'lock', 'pal.why.key'],
	['key', 'unprotect', '', 'lock', 'pal.why.key'],
	['key', 'rotate', '', 'lock', 'pal.why.key'],
	['ui', '', '', 'desktop', 'pal.why.here'],
	['token', 'new', 'NAME', 'device', 'pal.why.token'],
	['token', 'list', '', 'device', go('#/settings?at=devices')],
	['token', 'revoke', 'ID', 'device', go('#/settings?at=devices')],
	['share', 'ls', '', 'folder', go('#/settings?at=about')],
	['share', 'add', 'NAME=FOLDER', 'folder', 'pal.why.disk'],
	['share', 'rm', 'NAME', 'folder', 'pal.why.disk'],
	['share', 'rescan', '', 'retry', rescan],
	['share', 'confirm', '', 'check', go('#/share')],
	['folder', 'private', 'FOLDER', 'lock', go('#/share')],
	['folder', 'public', 'FOLDER', 'lock', go('#/share')],
	['folder', 'list', '', 'lock', go('#/share')],
	['link', 'new', 'NAME', 'link', go('#/share')],
	['link', 'ls', '', 'link', links],
	['link', 'revoke', 'ID', 'link', links],
	['history', '', 'NAME', 'clock', go('#/share')],
	['history', '--deleted', '', 'trash', () => attempt(async () => (await history()).showDeleted())],
	['restore', '', 'NAME', 'clock', () => attempt(async () => (await history()).showDeleted())],
	['versions', 'show', '', 'clock', () => attempt(async () => (await history()).showDeleted())],
	['versions', 'set', 'KEY VALUE', 'clock', 'pal.why.terminal'],
	['versions', 'purge', 'NAME', 'trash', go('#/share')],
	['mirror', 'add', 'PEER/FOLDER --to DIR', 'transfers', go('#/peers')],
	...['list', 'status', 'pause', 'resume', 'accept', 'check', 'remove'].map((verb) => ['mirror', verb, verb === 'list' ? '' : 'ID', 'transfers', mirrors]),
	['keeper', '', '', 'transfers', 'pal.why.keeper'],
	['unfinished', '', '', 'transfers', go('#/transfers')],
	['unfinished', 'remove', 'NAME', 'trash', go('#/transfers')],
	['init', '', '', 'settings', 'pal.why.init'],
	['config', 'get', 'NAME', 'settings', go('#/settings?at=this')],
	['config', 'set', 'NAME VALUE', 'settings', go('#/settings?at=this')],
	['config', 'unset', 'NAME', 'settings', 'pal.why.terminal'],
	['config', 'list', '', 'settings', go('#/settings?at=this')],
	['config', 'path', '', 'settings', 'pal.why.terminal'],
	['doctor', '', '', 'shield', 'pal.why.doctor'],
];

/** What the verbs are called: those of several commands once. */
const VERBS = {
	list: 'pal.v.show', ls: 'pal.v.show', show: 'pal.v.show', get: 'pal.v.show', status: 'state',
	new: 'pal.v.add', add: 'pal.v.add', remove: 'pal.v.remove', rm: 'pal.v.remove', revoke: 'pal.v.remove', purge: 'pal.v.remove',
	set: 'pal.v.change', check: 'mir.check', confirm: 'away.confirm', rescan: 'rescan', accept: 'accept', decline: 'decline',
	trust: 'trust', forget: 'forget', block: 'block', pause: 'pause', resume: 'resume', '--deleted': 'hist.list',
};

const line = (...words) => ['p2p', ...words].filter(Boolean).join(' ');

/** What everybody can look at; the rest is for the owner and for administrators. */
const FOR_OWNER = new Set(['key', 'token', 'link', 'history', 'restore', 'versions', 'mirror', 'config', 'folder']);

export const commands = () =>
	COMMANDS.map(([command, verb, rest, icon, run]) => {
		const refused = typeof run === 'string' ? run : !isOwner() && FOR_OWNER.has(command) ? 'err.owner_only' : '';
		const label = [t(`pal.c.${command}`), verb && t(VERBS[verb] ?? `pal.v.${verb}`)].filter(Boolean).join(': ');
		return { id: `c ${command} ${verb}`, icon, label, line: line(command, verb, rest), command, verb, ...(refused ? { why: t(refused) } : { run }) };
	});

const VIEWS = { share: 'share', search: 'search', transfers: 'transfers', downloads: 'download', peers: 'peers', settings: 'settings' };
const SECTIONS = { this: 'set.transfers', look: 'set.look', devices: 'set.devices', about: 'set.about' };

export const places = () => [
	...Object.entries(VIEWS).map(([id, icon]) => ({ id: `v ${id}`, icon, label: t(`nav.${id}`), hint: t('pal.view'), run: go(`#/${id}`) })),
	...Object.entries(SECTIONS).map(([id, key]) => ({ id: `s ${id}`, icon: 'settings', label: t(key), hint: t('settings'), run: go(`#/settings?at=${id}`) })),
];

/** What has no command: it is about this page, or about all transfers at once. */
export const others = () => {
	const sum = totals();
	const rows = [
		['choose', 'plus', t('choose'), () => document.querySelector('[data-input=files]')?.click() ?? go('#/share')()],
		['pair', 'device', t('pair.device'), pairOne, isOwner()],
		['add', 'plus', t('peer.add'), () => attempt(async () => (await peersView()).addPeer())],
		['pause', 'pause', t('pause.all'), () => all('pause-all'), sum.pausable > 0],
		['resume', 'play', t('resume.all'), () => all('resume-all'), sum.paused > 0],
		['retry', 'retry', t('retry.all'), () => all('retry-failed'), sum.failed > 0],
		['clear', 'check', t('clear.done'), () => all('clear-finished'), sum.finished > 0],
		['limit', 'clock', t('set.limit_rate'), go('#/settings?at=this'), isOwner()],
		['look', 'settings', `${t('theme')}, ${t('language')}`, go('#/settings?at=look')],
		['act', 'clock', t('act'), openActivity],
		['keys', 'keyboard', t('keys'), showKeys],
	];
	return rows.filter(([, , , , possible = true]) => possible).map(([id, icon, label, run]) => ({ id: `o ${id}`, icon, label, run }));
};

const LINES = {
	browse: (name) => line('ls', name),
	send: (name) => line('send --to', name, 'FILE'),
	trust: (name) => line('peers trust', name),
	block: (name) => line('peers block', name),
	forget: (name) => line('peers forget', name),
};

/** A device, and what can be done with it. */
export function deviceRows(actionsOf) {
	return state.peers.list.flatMap((peer) => {
		const name = called(peer);
		const word = quoted(peer.name && !peer.name_is_claim ? peer.name : peer.peer_id_full.slice(0, 16));
		return actionsOf(peer).map((one) => ({
			id: `d ${peer.peer_id_full} ${one.id}`,
			icon: one.icon,
			label: one.id === 'browse' ? name : `${one.label}: ${name}`,
			hint: one.id === 'browse' ? t('browse') : t('nav.peers'),
			line: LINES[one.id]?.(word),
			deep: one.id !== 'browse', // shown only when it is looked for
			run: one.run,
		}));
	});
}

export function offerRows() {
	const open = state.offers.list.filter((one) => one.direction === 'in' && one.state === 'waiting' && one.peer);
	return open.flatMap((one) =>
		['accept', 'decline'].map((verb) => ({
			id: `i ${one.id} ${verb}`,
			icon: verb === 'accept' ? 'check' : 'close',
			label: `${t(verb)}: ${called(one.peer)}`,
			line: line('inbox', verb, one.id),
			run: () => attempt(() => post(`offers/${one.id}/${verb}`)),
		})),
	);
}

export const transferRows = () =>
	[...state.transfers.byId.values()].flatMap((one) => {
		const name = visible(one.filename);
		const verb = { downloading: 'pause', connecting: 'pause', queued: 'pause', paused: 'resume', failed: 'retry' }[one.state];
		const rows = [{ id: `t ${one.id}`, icon: 'transfers', label: name, hint: statusText(one), run: go(`#/transfers?id=${one.id}`) }];
		if (verb) rows.push({ id: `t ${one.id} ${verb}`, icon: { pause: 'pause', resume: 'play', retry: 'retry' }[verb], label: `${t(verb)}: ${name}`, line: verb === 'pause' ? '' : line('get', quoted(one.filename)), deep: true, run: () => act(one, verb) });
		return rows;
	});

const pathOf = (folder, name) => {
	const at = name.split('/').slice(0, -1).join('/');
	return `#/${folder}?${new URLSearchParams({ ...(at && { at }), open: name })}`;
};

/** Files of this computer, and what has a command for them. */
export function fileRows() {
	const row = (of, file) => ({ id: `f ${of} ${file.name}`, file: file.name, label: visible(file.name.split('/').pop()), hint: [t(of === 'downloads' ? 'nav.downloads' : 'nav.share'), visible(file.name.split('/').slice(0, -1).join('/'))].filter(Boolean).join(' · '), run: go(pathOf(of === 'downloads' ? of : 'share', file.name)) });
	const more = (file) => {
		const name = visible(file.name);
		const rows = [{ id: `l ${file.name}`, icon: 'share', label: `${t('send')}: ${name}`, line: line('send --to DEVICE', quoted(file.name)), deep: true, run: () => attempt(async () => (await import('./send.js')).sendTo([file.name])) }];
		if (isOwner()) {
			rows.push({ id: `n ${file.name}`, icon: 'link', label: `${t('link')}: ${name}`, line: line('link new', quoted(file.name)), deep: true, run: rows[0].run });
			rows.push({ id: `h ${file.name}`, icon: 'clock', label: `${t('hist')}: ${name}`, line: line('history', quoted(file.name)), deep: true, run: () => attempt(async () => (await history()).showHistory(file.name)) });
		}
		return rows;
	};
	return [
		...state.shared.files.flatMap((file) => [row('shared', file), ...more(file)]),
		...state.downloads.files.map((file) => row('downloads', file)),
	];
}

/** Folders, and who may see them. */
export function folderRows() {
	const names = new Set(state.shared.files.flatMap((file) => file.name.split('/').slice(0, -1).map((_, i, parts) => parts.slice(0, i + 1).join('/'))));
	return [...names].flatMap((name) => {
		const rows = [{ id: `g ${name}`, icon: 'folder', label: visible(name), hint: t('nav.share'), run: go(`#/share?${new URLSearchParams({ at: name })}`) }];
		if (isOwner()) rows.push({ id: `a ${name}`, icon: 'lock', label: `${t('acc')}: ${visible(name)}`, line: line('folder private', quoted(name)), deep: true, run: () => attempt(async () => (await later(import('./access.js'))).showAccess(name)) });
		return rows;
	});
}

const FOUND = 8;

/** What other devices have; nothing while no registry answers. */
export async function found(text) {
	const { results } = await get(`search?${new URLSearchParams({ q: text, limit: FOUND })}`);
	return results
		.filter((r) => r.sources.some((s) => !s.self))
		.map((r) => ({ id: `r ${r.root ?? r.name}`, icon: 'download', label: `${t('get')}: ${visible(r.name.split('/').pop())}`, hint: r.sources.filter((s) => !s.self).map(called).slice(0, 2).join(', '), line: line('get', quoted(r.name)), run: () => fetchFile(r) }));
}

export const searchRow = (text) => ({ id: 'search', icon: 'search', label: t('pal.search', { q: visible(text) }), line: line('search', quoted(text)), run: go(`#/search?${new URLSearchParams({ q: text })}`) });
