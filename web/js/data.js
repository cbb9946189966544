import { get } from './api.js';
import { changed, state } from './store.js';

/** The lists requested so far. */
const asked = new Set();

/** Runs f, never twice at once; a call during a run causes one more run. */
function single(f) {
	let running = null;
	let again = false;
	run.isRunning = () => running !== null;
	return run;
	function run() {
		asked.add(run);
		if (running) {
			again = true;
			return running;
		}
		running = f().finally(() => {
			running = null;
			if (again) {
				again = false;
				run().catch(() => {});
			}
		});
		return running;
	}
}

async function pages(path, field, limit, onPage) {
	const all = [];
	let cursor = '';
	do {
		const data = await get(`${path}?limit=${limit}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`);
		all.push(...data[field]);
		cursor = data.next;
		onPage?.(all, data);
	} while (cursor);
	return all;
}

export const loadStatus = single(async () => {
	state.status = await get('status?shared_files=0');
	changed('status');
});

export const loadShared = single(async () => {
	const first = !state.shared.loaded;
	await pages('shared', 'files', 1000, (files, data) => {
		Object.assign(state.shared, { count: data.count, totalSize: data.total_size, loaded: true });
		if (first || !data.next) state.shared.files = [...files];
		changed('shared');
	});
});

export const loadDownloads = single(async () => {
	state.downloads.files = await pages('downloads', 'downloads', 1000, (_, data) => {
		Object.assign(state.downloads, { count: data.count, totalSize: data.total_size, loaded: true });
	});
	changed('downloads');
});

export const loadPeers = single(async () => {
	const data = await get('peers?file_list=0');
	state.peers = { list: data.peers, reachable: data.discovery_reachable !== false, loaded: true };
	changed('peers');
});

export const loadOffers = single(async () => {
	const data = await get('offers');
	state.offers = { list: data.offers, devices: data.devices, paired: data.paired };
	changed('offers');
});

export const loadActivity = single(async () => {
	state.activity = { list: (await get('activity')).activity, loaded: true };
	changed('activity');
});

// Events come by another connection than answers: what they say of a transfer may be newer.
const heard = new Map(); // for each transfer, the number of the last event about it
let events = 0;
const isNewer = (id, before) => (heard.get(id) ?? 0) > before;

export const loadTransfers = single(async () => {
	const before = events;
	const list = await pages('transfers', 'transfers', 500);
	const byId = new Map(list.map((one) => [one.id, one]));
	for (const [id] of heard) {
		if (!isNewer(id, before)) continue;
		const one = state.transfers.byId.get(id);
		if (one) byId.set(id, one);
		else byId.delete(id);
	}
	state.transfers = { byId, loaded: true };
	changed('transfers');
});

/** The transfer that a request answers with, which is applied unless an event was quicker. */
export async function answered(request) {
	const before = events;
	const one = await request();
	if (one && !isNewer(one.id, before)) putTransfer(one);
	return one;
}

export const loadConfig = single(async () => {
	state.config = await get('config');
	changed('config');
});

export const loadGrants = single(async () => {
	state.grants = (await get('grants')).grants;
	changed('shared');
});

/** Reads all requested lists again: at start, after a gap, when polling. */
export async function reload() {
	const results = await Promise.allSettled([...asked].map((f) => f()));
	const failed = results.find((r) => r.status === 'rejected');
	if (failed) throw failed.reason;
}

const quietly = (f) => () =>
	f().catch(() => {
		/* shown by the connection line; the next event retries */
	});

function putTransfer(data) {
	const { byId } = state.transfers;
	if (data.removed) byId.delete(data.id);
	else byId.set(data.id, data);
	changed('transfers');
}

function applyShared(data) {
	if (state.status)
		Object.assign(state.status, { shared_files_count: data.count, total_shared_size: data.total_size });
	changed('status');
	if (loadShared.isRunning()) quietly(loadShared)(); // what arrives may be older than this event
	if (!state.shared.loaded) return;
	if (data.reload) {
		quietly(loadShared)();
		return;
	}
	const byName = new Map(state.shared.files.map((f) => [f.name, f]));
	for (const name of data.removed ?? []) byName.delete(name);
	for (const file of data.changed ?? []) byName.set(file.name, file);
	Object.assign(state.shared, { files: [...byName.values()], count: data.count, totalSize: data.total_size });
	changed('shared');
}

function applyDownloads(data) {
	if (state.status) state.status.downloads_count = data.count;
	changed('status');
	if (state.downloads.loaded || loadDownloads.isRunning()) quietly(loadDownloads)();
}

/** Old speeds would be wrong. */
export function stall() {
	const still = [...state.transfers.byId].map(([id, one]) => [id, { ...one, speed: 0, eta_s: null }]);
	state.transfers.byId = new Map(still);
	changed('transfers');
}

const HANDLERS = {
	transfer: (data) => {
		events += 1;
		heard.set(data.id, events);
		putTransfer(data);
	},
	shared: applyShared,
	downloads: applyDownloads,
	peers: () => (state.peers.loaded || loadPeers.isRunning()) && quietly(loadPeers)(),
	status: (data) => {
		// The event is for all pages; `caller` is from this page's request.
		const { caller = data.caller, urls = data.urls } = state.status ?? {};
		state.status = { ...data, caller, urls };
		changed('status');
	},
	config: (data) => {
		state.config = data;
		changed('config');
	},
	devices: () => {
		changed('devices');
		quietly(loadStatus)(); // this browser may have become an administrator
	},
	mirror: () => changed('mirror'),
	offers: () => quietly(loadOffers)(),
	log: () => {}, // shown by main.js
	resync: quietly(reload),
};

export const EVENTS = Object.keys(HANDLERS);
export const apply = (name, data) => HANDLERS[name]?.(data);
