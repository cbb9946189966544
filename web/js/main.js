// Starts the page. The fragment (#share, ...) chooses the view.
import { whenPairingNeeded } from './api.js';
import { loadActivity, loadOffers, loadPeers, loadStatus, loadTransfers } from './data.js';
import { button, h, icon, metaText, setAttr, setText, visible } from './dom.js';
import { activityDock, keepNote } from './dock.js';
import { dropTarget } from './drop.js';
import { bytes, percent, percentText, speed } from './format.js';
import { briefly, later, load, preferred, save, t, useLanguage } from './i18n.js';
import { listenForKeys, useKeys } from './keys.js';
import { onEvent, startLive } from './live.js';
import { notify } from './notify.js';
import { changed, forgetListeners, isOwner, on, state } from './store.js';
import { all, reason, recallSpeeds, sampleSpeeds, totals, watchEnds } from './transfers.js';
import { VERSION, attempt, closeDialogs, fail, isOldPage, offerReload, toast, toastShelf, undoLast, viewHead, whenToasted } from './ui.js';
import { guardLeaving, uploadTotals } from './upload.js';
import { downloadsView } from './views/downloads.js';
import { peersView } from './views/peers.js';
import { searchView } from './views/search.js';
import { openSharedLink, shareView } from './views/share.js';
import { transfersView } from './views/transfers.js';

const openPalette = () => attempt(async () => (await later(import('./palette.js'))).showPalette());
const showKeys = () => attempt(async () => (await later(import('./keytable.js'))).showKeys());
const settings = () => later(import('./views/settings.js'));

const VIEWS = [
	['share', 'share', shareView],
	['search', 'search', searchView],
	['transfers', 'transfers', transfersView],
	['downloads', 'download', downloadsView],
	['peers', 'peers', peersView],
	['settings', 'settings', (actions) => laterView('settings', async () => (await settings()).settingsView(actions))],
];
const app = document.getElementById('app');
const main = h('main', { id: 'main', tabindex: '-1' });
let views = {};
let current = '';
let ticker = 0;
let stopDrop = () => {};
let inbox = null;
let pairing = false;
let arriving = null; // a view that is being loaded

const THEMES = ['auto', 'light', 'dark'];

function setTheme(theme) {
	save('p2p.theme', theme === 'auto' ? null : theme);
	if (theme === 'auto') delete document.documentElement.dataset.theme;
	else document.documentElement.dataset.theme = theme;
	changed('speeds'); // the chart is drawn in the theme's colours
}

function nextTheme() {
	const theme = THEMES[(THEMES.indexOf(load('p2p.theme', 'auto')) + 1) % THEMES.length];
	setTheme(theme);
	toast(`${t('theme')}: ${t(`theme.${theme}`)}`);
}

async function setLanguage(code) {
	save('p2p.lang', code);
	await useLanguage(code);
	build();
}

function brand() {
	return h(
		'a',
		{ class: 'brand', href: '#/share' },
		h('img', { src: 'icons/icon.svg', alt: '', width: 28, height: 28 }),
		h('span', {}, 'p2p'),
	);
}

function navigation() {
	const counts = {};
	const links = VIEWS.map(([id, mark], i) => {
		counts[id] = h('span', { class: 'count', hidden: true });
		return h(
			'li',
			{ class: `nav-${id}` },
			h(
				'a',
				{ href: `#/${id}`, 'data-view': id, 'aria-keyshortcuts': i + 1 },
				icon(mark),
				h('span', { class: 'nav-label' }, t(`nav.${id}`)),
				counts[id],
			),
		);
	});
	const set = (id, n) => {
		counts[id].hidden = !n;
		setText(counts[id], n ? briefly(n) : '');
	};
	on('status transfers peers uploads', () => {
		const sum = totals();
		set('share', state.status?.shared_files_count);
		set('transfers', sum.open);
		set('downloads', state.status?.downloads_count);
		if (state.peers.loaded) set('peers', state.peers.list.filter((p) => !p.self).length);
		const up = uploadTotals();
		const moves = [
			up.open && `↑ ${percentText(percent(up.sent, up.size))}`,
			sum.speed > 0 && `↓ ${speed(sum.speed)}`,
			t(`nav.${current}`),
			'p2p',
		];
		document.title = moves.filter(Boolean).join(' · ');
	});
	return h('nav', { class: 'nav', 'aria-label': t('nav') }, h('ul', {}, links));
}

/** One line with the state of the connection to p2p-ui. */
function connectionLine() {
	const text = h('span', {});
	const el = h(
		'p',
		{ class: 'connection', role: 'status' },
		h('span', { class: 'dot', 'aria-hidden': 'true' }),
		text,
	);
	const render = () => {
		el.dataset.state = state.connection;
		setText(text, t(`conn.${state.connection}`));
	};
	on('connection', render);
	render();
	return el;
}

function selfCard() {
	const name = h('bdi', { class: 'self-name' });
	const id = metaText();
	const line = metaText();
	on('status connection peers', () => {
		const s = state.status;
		if (!s) return;
		const away = state.connection === 'offline';
		setText(name, visible(s.name || t('self')));
		setText(id, state.peers.list.find((p) => p.self)?.words?.split(' ').slice(0, 4).join(' '));
		setText(
			line,
			[
				away ? t('conn.offline') : t(s.registered ? 'online' : 'not.registered'),
				away || s.free_space === undefined ? null : t('free', { size: bytes(s.free_space) }),
			]
				.filter(Boolean)
				.join(' · '),
		);
	});
	return h('div', { class: 'self' }, name, h('span', { class: 'mono' }, id), line);
}

function skipLink() {
	const onclick = (event) => {
		event.preventDefault();
		main.focus();
	};
	return h('a', { class: 'skip', href: '#main', onclick }, t('skip'));
}

function sideActions(bell) {
	const bare = { bare: true };
	const pairOne = button(t('pair.device'), { ...bare, icon: 'device', onclick: () => attempt(async () => (await settings()).pairDevice()) });
	const palette = button(t('pal'), { ...bare, icon: 'palette', onclick: openPalette, 'aria-keyshortcuts': 'Control+K Meta+K' });
	const keys = button(t('keys'), { ...bare, icon: 'keyboard', onclick: showKeys, kind: 'wide-only' });
	const gear = {
		class: 'btn bare narrow-only',
		href: '#/settings',
		'aria-label': t('settings'),
		title: t('settings'),
	};
	setAttr(keys, 'aria-keyshortcuts', '?');
	on('status', () => {
		pairOne.hidden = !isOwner();
	});
	return h('div', { class: 'side-acts' }, pairOne, palette, bell, keys, h('a', gear, icon('settings')));
}

/** What others would like to send here; drawn when there is something. */
function offers() {
	const el = h('section', { class: 'card inbox', hidden: true, 'aria-label': t('in.label'), 'aria-live': 'polite' });
	const stop = on('offers', async () => {
		if (state.offers.list.length === 0) return;
		stop();
		(await import('./inbox.js')).fillInbox(el);
	});
	return el;
}

/** A view that is loaded when it is shown for the first time. */
function laterView(title, load) {
	const el = h('div', {}, h('div', { class: 'view' }, viewHead(t(title)).el));
	let view = null;
	let wanted = new URLSearchParams();
	const first = async () => {
		view = await load();
		const focused = el.contains(document.activeElement);
		el.replaceChildren(view.el);
		if (focused) view.el.querySelector('h1').focus({ preventScroll: true });
		await view.show();
		view.open?.(wanted);
	};
	return {
		el,
		show: () => {
			if (view) view.show();
			else arriving = attempt(first);
		},
		open: (query) => {
			wanted = query;
			view?.open?.(query);
		},
	};
}

/** Builds the page, again after a change of language. */
function build() {
	forgetListeners();
	stopDrop();
	const drop = dropTarget(() => {
		location.hash = '#/share';
	});
	stopDrop = drop.stop;
	const { dock, bell } = activityDock();
	const top = h('div', { class: 'side-top' }, brand(), connectionLine(), sideActions(bell));
	const side = h('header', { class: 'side' }, top, navigation(), dock, selfCard());
	inbox = offers();
	app.replaceChildren(skipLink(), side, main, drop.el, toastShelf());
	const actions = { theme: setTheme, language: setLanguage };
	views = Object.fromEntries(VIEWS.map(([id, , make]) => [id, make(actions)]));
	current = '';
	route(false);
	on('status', offerNewPage);
	changed('status', 'transfers', 'peers', 'connection', 'shared', 'downloads');
}

let begun = false;

/** Where each view was scrolled to, for Back. */
const scrolled = new Map();

/** The fragment is #/view or #/view?name=value. */
function route(focus = true) {
	const file = /^#file=(.+)$/.exec(location.hash)?.[1];
	const [wanted, query] = location.hash.replace(/^#\/?/, '').split('?');
	const id = wanted in views ? wanted : 'share';
	const back = history.state?.seen === true;
	closeDialogs();
	if (file && begun) {
		history.replaceState(null, '', '#/share');
		try {
			openSharedLink(decodeURIComponent(file));
		} catch {
			/* not our link */
		}
	}
	if (id !== current) show(id, focus, back);
	if (begun) views[id].open?.(new URLSearchParams(query)); // what the address names needs the lists
	history.replaceState({ ...history.state, seen: true }, '');
}

function show(id, focus, back) {
	const view = views[id];
	if (current) scrolled.set(current, scrollY);
	current = id;
	state.view = id;
	main.replaceChildren(inbox, view.el);
	scrollTo(0, 0);
	for (const link of app.querySelectorAll('[data-view]'))
		setAttr(link, 'aria-current', link.dataset.view === id ? 'page' : null);
	if (focus) view.el.querySelector('h1')?.focus({ preventScroll: true });
	view.show?.();
	if (back) scrollTo(0, scrolled.get(id) ?? 0);
	clearInterval(ticker);
	if (view.every) ticker = setInterval(() => document.hidden || view.tick(), view.every);
	changed('status', 'view');
}

function shortcuts() {
	const go = (id) => () => {
		if (current !== id) location.hash = `#/${id}`;
		route();
	};
	const then = (id, action) => () => {
		go(id)();
		action();
	};
	return [
		...VIEWS.map(([id], i) => ({
			keys: [String(i + 1)],
			label: t(id === 'transfers' ? 'transfers' : id),
			run: go(id),
		})),
		{ keys: ['/'], label: t('key.search'), run: then('search', () => views.search.focus()) },
		{
			keys: ['u'],
			label: t('key.upload'),
			run: then('share', () => main.querySelector('[data-input=files]').click()),
		},
		{ keys: ['p'], label: t('key.pause'), run: () => all(totals().pausable ? 'pause-all' : 'resume-all') },
		{
			keys: ['r'],
			label: t('refresh'),
			run: () => {
				(views[current].refresh ?? views[current].show)?.();
			},
		},
		{ keys: ['t'], label: t('key.theme'), run: nextTheme },
		{ keys: ['?'], label: t('keys'), run: showKeys },
	];
}

function announce(one) {
	const title = t(one.state === 'completed' ? 'tr.done' : 'tr.failed');
	const name = visible(one.filename);
	if (current === 'transfers' && !document.hidden) return; // the list itself shows it
	const many = (n) => t('tr.done.n', { n });
	if (document.hidden) notify(title, one.filename, one.id);
	else if (one.state === 'completed') toast(`${title}: ${name}`, { kind: 'ok', group: 'done', many });
	else toast(`${title}: ${name}. ${reason(one)}`, { kind: 'error' });
}

async function begin() {
	try {
		await Promise.all([loadStatus(), loadTransfers()]);
		loadOffers().catch(() => {}); // without them the page works as well
		loadActivity().catch(() => {});
		loadPeers().catch(() => {}); // for the count beside its section
		for (const one of state.transfers.byId.values()) watchEnds(one, () => {});
	} catch (error) {
		if (error.code === 'pairing_required') return false;
		if (error.code !== 'offline') fail(error);
	}
	return true;
}

async function pair() {
	if (pairing) return;
	pairing = true;
	await (await import('./views/pair.js')).pairScreen(app);
	location.reload(); // everything starts anew, now with the cookie
}

const SHELL = 'p2p-shell-2'; // as in sw.js

/**
 * Installable: the page opens without p2p-ui. The cache gets the page only with all of its files, and then loses
 * those of other versions.
 */
async function keepShell() {
	if (!('serviceWorker' in navigator) || !isSecureContext) return;
	await navigator.serviceWorker.register('sw.js');
	await navigator.serviceWorker.ready;
	const here = new URL('.', location).href;
	const page = await fetch('./');
	if (!page.ok || !(await page.clone().text()).includes(`v/${VERSION}/`)) return; // p2p-ui is a newer one now
	const loaded = performance.getEntriesByType('resource').map((entry) => entry.name);
	const cache = await caches.open(SHELL);
	await cache.addAll([...new Set(loaded)].filter((url) => url.startsWith(here) && !/\/api\//.test(url)));
	await cache.put('./', page);
	for (const request of await cache.keys()) {
		const version = /\/v\/([0-9a-f]+)\//.exec(request.url)?.[1];
		if (version && version !== VERSION) await cache.delete(request);
	}
}

let renewed = '';

function offerNewPage() {
	if (!isOldPage() || renewed === state.status.pages) return;
	renewed = state.status.pages;
	offerReload();
}

async function start() {
	await useLanguage(preferred());
	whenPairingNeeded(pair);
	build();
	if (!(await begin())) return;
	begun = true; // a link to a file waits for the pairing
	route();
	if (/^#pair=/.test(location.hash)) history.replaceState(null, '', '#/share');
	whenToasted(keepNote);
	useKeys(shortcuts());
	listenForKeys(undoLast, openPalette);
	guardLeaving();
	onEvent((name, data) => {
		if (name === 'transfer') watchEnds(data, announce);
		if (name === 'log' && data.level === 'error') toast(visible(data.message), { kind: 'error' });
	});
	history.scrollRestoration = 'manual';
	addEventListener('hashchange', () => route());
	addEventListener('popstate', () => closeDialogs());
	matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => changed('speeds'));
	recallSpeeds();
	setInterval(sampleSpeeds, 1000);
	startLive();
	await arriving;
	document.documentElement.dataset.ready = '';
	keepShell().catch(() => {
		/* only a convenience */
	});
}

start();
