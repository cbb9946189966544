// The upload queue: one request per file, two at a time.
import { checkUpload, upload } from './api.js';
import { loadShared, loadStatus } from './data.js';
import { t } from './i18n.js';
import { changed, state } from './store.js';
import { toast } from './ui.js';

const AT_ONCE = 2;
const RATE_MS = 500;
const DONE_MS = 8000;
const CHECKED = 1 << 20; // smaller files are sent at once
const RESUMABLE = 8 << 20; // larger ones go on after a break
let serial = 0;
let awake = null;

const active = (u) => u.state === 'sending' || u.state === 'waiting';

const into = () => state.status?.shared_folders?.find((f) => f.name === state.into)?.name;

/** entries: [{file, path}]; path: folder in the shared folder, or ''. Gives them when all have ended. */
export function addUploads(entries, at = null) {
	const folder = at ?? (state.view === 'share' && state.at ? state.at : into());
	const ends = [];
	const shown = entries.filter(({ file, path }) => !`/${path}/${file.name}`.includes('/.'));
	if (shown.length < entries.length) toast(t('up.hidden', { n: entries.length - shown.length }));
	const taken = new Set(state.shared.files.map((f) => f.name));
	for (const { file, path: below } of shown) {
		const path = [folder, below].filter(Boolean).join('/');
		const name = path ? `${path}/${file.name}` : file.name;
		serial += 1;
		let ended;
		ends.push(new Promise((resolve) => (ended = resolve)));
		state.uploads.push({
			ended,
			id: serial,
			file,
			path,
			as: file.name,
			name,
			size: file.size,
			sent: 0,
			speed: 0,
			state: taken.has(name) ? 'exists' : 'waiting', // the person is asked before a byte is sent
			error: null,
		});
	}
	pump();
	return Promise.all(ends);
}

/** The screen stays on while files are sent, where the browser allows it. */
async function stayAwake() {
	const busy = uploading();
	if (busy && !awake) {
		awake = navigator.wakeLock?.request('screen').catch(() => null) ?? null;
	} else if (!busy && awake) {
		(await awake)?.release();
		awake = null;
	}
}

function pump() {
	stayAwake();
	const running = state.uploads.filter((u) => u.state === 'sending').length;
	const waiting = state.uploads.filter((u) => u.state === 'waiting');
	for (const one of waiting.slice(0, Math.max(0, AT_ONCE - running))) send(one);
	changed('uploads');
}

async function send(one) {
	one.state = 'sending';
	one.error = null;
	let mark = { time: performance.now(), sent: 0 };
	const onProgress = (sent) => {
		const now = performance.now();
		if (now - mark.time > RATE_MS) {
			const rate = ((sent - mark.sent) / (now - mark.time)) * 1000;
			one.speed = one.speed ? one.speed * 0.6 + rate * 0.4 : rate;
			mark = { time: now, sent };
		}
		one.sent = sent;
		changed('uploads');
	};
	const query = new URLSearchParams({ name: one.as, path: one.path, on_conflict: one.onConflict ?? 'fail' });
	try {
		if (one.size > CHECKED) await checkUpload(one.file, query);
		if (one.state !== 'sending') return; // cancelled meanwhile
		const start = one.size > RESUMABLE ? (await import('./resume.js')).uploadResumably : upload;
		const request = start(one.file, query, onProgress);
		one.abort = request.abort;
		const answer = await request.done;
		one.name = answer.filename ?? one.name;
		finish(one, 'done');
	} catch (error) {
		one.error = error;
		const { suggestion: as, suggested_path: path } = error.data ?? {};
		one.offer = as ? { as } : path ? { path } : null;
		finish(one, error.code === 'exists' ? 'exists' : error.code === 'cancelled' ? 'cancelled' : 'failed');
	}
}

function finish(one, result) {
	one.state = result;
	one.speed = 0;
	if (result === 'done' || result === 'cancelled') one.ended(one);
	if (result === 'done') {
		one.sent = one.size;
		setTimeout(() => dropUpload(one), DONE_MS); // the file is in the list below by then
	}
	if (result === 'cancelled') state.uploads = state.uploads.filter((u) => u !== one);
	pump();
	if (state.uploads.some(active)) return;
	refresh();
}

/** Without an event stream. */
function refresh() {
	if (state.connection !== 'live') Promise.all([loadShared(), loadStatus()]).catch(() => {});
}

export function cancelUpload(one) {
	if (one.state === 'sending' && one.abort) one.abort();
	else finish(one, 'cancelled');
}

export function dropUpload(one) {
	state.uploads = state.uploads.filter((u) => u !== one);
	pump();
}

export function retryUpload(one, onConflict) {
	Object.assign(one, { state: 'waiting', sent: 0, onConflict: onConflict ?? one.onConflict, ...one.offer });
	one.offer = null;
	pump();
}

export function clearUploads() {
	state.uploads = state.uploads.filter(active);
	changed('uploads');
}

export function cancelUploads() {
	for (const one of state.uploads.filter((u) => u.state === 'waiting')) dropUpload(one);
	for (const one of state.uploads.filter((u) => u.state === 'sending')) cancelUpload(one);
}

export function uploadTotals() {
	const sum = { open: 0, stopped: 0, sent: 0, size: 0 };
	for (const one of state.uploads) {
		if (one.state === 'failed' || one.state === 'exists') sum.stopped += 1;
		else if (active(one)) sum.open += 1;
		if (!active(one) && one.state !== 'done') continue;
		sum.sent += one.sent;
		sum.size += one.size;
	}
	return sum;
}

export const uploading = () => state.uploads.some(active);

export function guardLeaving() {
	addEventListener('beforeunload', (event) => {
		if (uploading()) event.preventDefault();
	});
}
