// Uploads that continue after a break, by the tus protocol: for files that are worth it. Loaded with the first one.
import { ApiError } from './api.js';
import { load, save, t } from './i18n.js';

const TUS = { 'Tus-Resumable': '1.0.0' };
const PIECE = 32 << 20; // bytes of a request
const PAUSES_MS = [0, 1000, 2000, 5000, 10000];
const GIVE_UP_MS = 10 * 60 * 1000; // without a byte

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const offline = () => new ApiError('offline', t('err.offline'));

async function failure(response) {
	const data = await response.json().catch(() => null);
	const error = new ApiError(data?.code ?? `http_${response.status}`, data?.detail ?? t('err.http', { status: response.status }), response.status);
	error.data = data;
	return error;
}

const request = (method, url, headers = {}) => fetch(url, { method, headers: { ...TUS, ...headers } }).catch(() => null);

/** Where an upload of this file was begun before; the page may have been closed meanwhile. */
const keyOf = (file, query) => `p2p.up.${file.name}.${file.size}.${file.lastModified}.${query}`;

/** The number of bytes that are there; null: nobody answered; -1: the upload is gone. */
async function offsetOf(url) {
	const answer = await request('HEAD', url);
	if (answer === null || answer.status >= 500 || answer.status === 423) return null;
	return answer.ok ? Number(answer.headers.get('Upload-Offset')) : -1;
}

async function create(file, query) {
	const answer = await request('POST', `api/uploads?${query}`, { 'Upload-Length': String(file.size) });
	if (answer === null) throw offline();
	if (!answer.ok) throw await failure(answer);
	return answer.headers.get('Location').replace(/^\//, '');
}

/** Sends one piece; resolves with the status, 0 if the connection broke. */
function send(handle, url, piece, offset, onProgress) {
	const xhr = new XMLHttpRequest();
	handle.xhr = xhr;
	return new Promise((resolve) => {
		xhr.upload.onprogress = (event) => onProgress(offset + event.loaded);
		xhr.onload = () => resolve(xhr);
		xhr.onerror = xhr.onabort = () => resolve(null);
		xhr.open('PATCH', url);
		for (const [name, value] of Object.entries({ ...TUS, 'Upload-Offset': offset, 'Content-Type': 'application/offset+octet-stream' }))
			xhr.setRequestHeader(name, value);
		xhr.send(piece);
	});
}

/** As an answer to POST /api/upload would be. */
const problemOf = (xhr) => {
	let data = null;
	try {
		data = JSON.parse(xhr.responseText);
	} catch {
		/* not JSON: the status is enough */
	}
	const error = new ApiError(data?.code ?? `http_${xhr.status}`, data?.detail ?? t('err.http', { status: xhr.status }), xhr.status);
	error.data = data;
	return error;
};

async function run(handle, file, query, onProgress) {
	const key = keyOf(file, query);
	let url = load(key);
	let offset = url ? await offsetOf(url) : -1;
	if (offset === null || offset < 0) {
		url = await create(file, query);
		offset = 0;
		save(key, url);
	}
	let tries = 0;
	let moved = Date.now();
	while (offset < file.size) {
		if (handle.stopped) {
			save(key, null);
			await request('DELETE', url);
			throw new ApiError('cancelled', '');
		}
		const answer = await send(handle, url, file.slice(offset, offset + PIECE), offset, onProgress);
		if (answer?.status === 204) {
			offset = Number(answer.getResponseHeader('Upload-Offset'));
			tries = 0;
			moved = Date.now();
			continue;
		}
		if (handle.stopped) continue;
		if (answer && answer.status < 500 && ![409, 423].includes(answer.status)) throw problemOf(answer);
		if (answer && answer.status === 507) throw problemOf(answer);
		if (Date.now() - moved > GIVE_UP_MS) throw offline();
		await wait(PAUSES_MS[Math.min(tries, PAUSES_MS.length - 1)]);
		tries += 1;
		const there = await offsetOf(url);
		if (there === -1) {
			save(key, null);
			throw offline();
		}
		if (there === null) continue;
		if (there > offset) moved = Date.now();
		offset = there;
		onProgress(offset);
	}
	save(key, null);
	return {};
}

export function uploadResumably(file, query, onProgress) {
	const handle = { stopped: false, xhr: null };
	const abort = () => {
		handle.stopped = true;
		handle.xhr?.abort();
	};
	return { done: run(handle, file, query, onProgress), abort };
}
