import { api, post } from './api.js';
import { button, para, visible } from './dom.js';
import { bytes, clock } from './format.js';
import { answered, apply, loadDownloads, loadTransfers } from './data.js';
import { known, t } from './i18n.js';
import { changed, state } from './store.js';
import { attempt, called, dialog, short, toast } from './ui.js';

export const RUNNING = new Set(['connecting', 'downloading', 'verifying']);
const GROUPS = {
	all: () => true,
	active: (x) => RUNNING.has(x.state) || x.state === 'queued' || x.state === 'paused',
	done: (x) => x.state === 'completed' || x.state === 'cancelled',
	failed: (x) => x.state === 'failed',
};
const RANK = {
	downloading: 0,
	verifying: 0,
	connecting: 0,
	queued: 1,
	paused: 2,
	failed: 3,
	completed: 4,
	cancelled: 4,
};

/** Running ones, then the queue, then the newest. */
export function ordered(group) {
	return [...state.transfers.byId.values()]
		.filter(GROUPS[group])
		.sort(
			(a, b) =>
				RANK[a.state] - RANK[b.state] ||
				(a.position ?? 0) - (b.position ?? 0) ||
				b.created - a.created ||
				a.id.localeCompare(b.id),
		);
}

export const countOf = (group) => [...state.transfers.byId.values()].filter(GROUPS[group]).length;

export function totals() {
	const sum = {
		speed: 0,
		running: 0,
		received: 0,
		size: 0,
		open: 0,
		failed: 0,
		finished: 0,
		paused: 0,
		pausable: 0,
	};
	for (const one of state.transfers.byId.values()) {
		const open = GROUPS.active(one);
		if (RUNNING.has(one.state)) {
			sum.running += 1;
			sum.speed += one.speed;
		}
		if (open) {
			sum.open += 1;
			sum.received += one.received;
			sum.size += one.size ?? 0;
		}
		if (one.state === 'paused') sum.paused += 1;
		else if (open) sum.pausable += 1;
		if (one.state === 'failed') sum.failed += 1;
		if (GROUPS.done(one)) sum.finished += 1;
	}
	sum.eta = sum.speed > 0 ? (sum.size - sum.received) / sum.speed : null;
	return sum;
}

/** The newest transfer of a content, or else of a name. */
export function transferOf({ root, name }) {
	let best = null;
	for (const one of state.transfers.byId.values()) {
		const same = root ? one.root === root : one.filename === name;
		if (same && (!best || one.created >= best.created)) best = one;
	}
	return best;
}

// Shown as on the page of peers.
export const RANKS = { trusted: 'trusted', known: 'verified', new: 'new', blocked: 'blocked' };
const holders = (content) =>
	Object.keys(RANKS)
		.filter((rank) => content[rank] > 0)
		.map((rank) => `${t(`trust.${RANKS[rank]}`)}: ${content[rank]}`)
		.join(', ');

/** Several files have this name: the user chooses. */
const choose = (name, contents) =>
	dialog({
		title: t('choice.title', { name }),
		className: 'sheet',
		body: (close) => [
			para(t('choice.text')),
			...contents.map((one) =>
				button(`${bytes(one.size)}, ${short(one.root ?? one.sources[0].peer_id_full)} (${holders(one)})`, {
					kind: 'menu',
					onclick: () => close(one),
				}),
			),
		],
	});

const from = (peers) => ({
	peers: peers.map((p) => ({ peer_id: p.peer_id_full, ip: p.ip, port: p.port })),
});

async function begin(body) {
	try {
		return await post('transfers', body);
	} catch (error) {
		if (error.code !== 'ambiguous') throw error;
		const one = await choose(body.filename, error.data.contents);
		if (!one) return one;
		const { root, size, sources } = one; // a folder has no root
		return post('transfers', { ...body, ...(root ? { root, size } : from(sources)) });
	}
}

export async function fetchFile({ root, name, size, peers }) {
	const body = { filename: name, ...(root && { root, size }), ...(peers && from(peers)) };
	return attempt(async () => {
		const one = await answered(() => begin(body));
		if (!one) return undefined;
		if (state.view === 'transfers') return one; // the list itself shows it
		toast(t('tr.begun', { name: visible(one.filename) }), {
			group: 'begun',
			many: (n) => t('tr.begun.n', { n }),
			action: {
				label: t('show'),
				run: () => {
					location.hash = '#/transfers';
				},
			},
		});
		return one;
	});
}

export const act = (one, verb) =>
	attempt(() => answered(() => post(`transfers/${one.id}/${verb}`)));
export const change = (one, patch) =>
	attempt(async () => {
		await answered(() => api('PATCH', `transfers/${one.id}`, patch));
		await loadTransfers();
	});

export const forget = (one) =>
	attempt(async () => {
		await api('DELETE', `transfers/${one.id}`);
		apply('transfer', { id: one.id, removed: true });
	});

export const forgetFailed = () =>
	attempt(async () => {
		for (const one of [...state.transfers.byId.values()].filter(GROUPS.failed)) {
			await api('DELETE', `transfers/${one.id}`);
			apply('transfer', { id: one.id, removed: true });
		}
	});

export const all = (verb) =>
	attempt(async () => {
		await post(`transfers/${verb}`);
		await loadTransfers();
	});

export const statusText = (one) => t(`st.${one.state}`);

export function reason(one) {
	if (!one.error && !one.error_code) return '';
	const key = [`why.${one.error_code}`, `err.${one.error_code}`].find(known);
	const peer = one.sources?.length === 1 ? called(one.sources[0]) : t('the.device');
	const text = key ? t(key, { peer }) : one.error;
	return one.retry_at ? `${text} ${t('retry.at', { time: clock(one.retry_at) })}` : text;
}

const SAMPLES = 120;
const lastState = new Map();

/** One sample per second, for the chart. */
export function sampleSpeeds() {
	const now = totals().speed;
	if (now === 0 && state.speeds.every((s) => s === 0) && state.speeds.length >= SAMPLES) return;
	state.speeds.push(now);
	if (state.speeds.length > SAMPLES) state.speeds.shift();
	keepSpeeds();
	changed('speeds');
}

/** The samples outlive a reload of the page. */
function keepSpeeds() {
	try {
		sessionStorage.setItem('p2p.speeds', JSON.stringify({ at: Date.now(), speeds: state.speeds }));
	} catch {
		/* no storage: the chart begins empty */
	}
}

export function recallSpeeds() {
	try {
		const { at, speeds } = JSON.parse(sessionStorage.getItem('p2p.speeds'));
		const missed = Math.round((Date.now() - at) / 1000);
		state.speeds = [...speeds, ...Array(Math.min(SAMPLES, Math.max(0, missed))).fill(0)].slice(-SAMPLES);
	} catch {
		/* nothing kept */
	}
}

/** Calls back when a running transfer has ended. */
export function watchEnds(one, ended) {
	if (one.removed) {
		lastState.delete(one.id);
		return;
	}
	const before = lastState.get(one.id);
	lastState.set(one.id, one.state);
	if (!before || before === one.state) return;
	if (one.state === 'completed' || one.state === 'failed') ended(one);
	if (one.state === 'completed' && state.downloads.loaded) loadDownloads().catch(() => {});
}
