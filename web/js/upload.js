// The upload queue. Files are sent one request each, two at a time, straight from disk.
import { upload } from './api.js';
import { loadShared, loadStatus } from './data.js';
import { t } from './i18n.js';
import { changed, state } from './store.js';
import { toast } from './ui.js';

const AT_ONCE = 2;
const RATE_MS = 500;
const DONE_MS = 8000;
let serial = 0;

const active = (u) => u.state === 'sending' || u.state === 'waiting';

/** entries: [{file, path}], path being the folder below the shared folder ('' for none). */
export function addUploads(entries) {
	const shown = entries.filter(({ file, path }) => !`/${path}/${file.name}`.includes('/.'));
	if (shown.length < entries.length) toast(t('up.hidden', { n: entries.length - shown.length }));
	for (const { file, path } of shown) {
		serial += 1;
		state.uploads.push({
			id: serial,
			file,
			path,
			name: path ? `${path}/${file.name}` : file.name,
			size: file.size,
			sent: 0,
			speed: 0,
			state: 'waiting',
			error: null,
		});
	}
	pump();
}

function pump() {
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
	const request = upload(one.file, { path: one.path, onConflict: one.onConflict, onProgress });
	one.abort = request.abort;
	try {
		const answer = await request.done;
		one.name = answer.filename;
		finish(one, 'done');
	} catch (error) {
		one.error = error;
		finish(one, error.code === 'exists' ? 'exists' : error.code === 'cancelled' ? 'cancelled' : 'failed');
	}
}

function finish(one, result) {
	one.state = result;
	one.speed = 0;
	if (result === 'done') {
		one.sent = one.size;
		setTimeout(() => dropUpload(one), DONE_MS); // the file is in the list below by then
	}
	if (result === 'cancelled') state.uploads = state.uploads.filter((u) => u !== one);
	pump();
	if (state.uploads.some(active)) return;
	refresh();
}

/** Events bring new files too; this is for the time when there is no stream. */
function refresh() {
	if (state.connection !== 'live') Promise.all([loadShared(), loadStatus()]).catch(() => {});
}

export function cancelUpload(one) {
	if (one.state === 'sending') one.abort();
	else dropUpload(one);
}

export function dropUpload(one) {
	state.uploads = state.uploads.filter((u) => u !== one);
	pump();
}

export function retryUpload(one, onConflict) {
	Object.assign(one, { state: 'waiting', sent: 0, onConflict: onConflict ?? one.onConflict });
	pump();
}

export function clearUploads() {
	state.uploads = state.uploads.filter(active);
	changed('uploads');
}

export function cancelUploads() {
	for (const one of state.uploads.filter((u) => u.state === 'waiting')) dropUpload(one);
	for (const one of state.uploads.filter((u) => u.state === 'sending')) one.abort();
}

export const uploading = () => state.uploads.some(active);

export function guardLeaving() {
	addEventListener('beforeunload', (event) => {
		if (uploading()) event.preventDefault();
	});
}
