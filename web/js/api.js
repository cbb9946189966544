// All requests to the server. Failures become an ApiError with a code of docs/openapi.yaml
// (or "offline" when nobody answered).
import { known, t } from './i18n.js';

export class ApiError extends Error {
	constructor(code, detail, status = 0, retryAfter = 0) {
		super(detail);
		Object.assign(this, { code, status, retryAfter });
	}

	/** Our text for a known code, else the server's. */
	get text() {
		return known(`err.${this.code}`) ? t(`err.${this.code}`, this.data) : this.message;
	}
}

let onPairing = () => {};
export const whenPairingNeeded = (f) => {
	onPairing = f;
};

export async function api(method, path, body) {
	let response;
	const options = { method, signal: AbortSignal.timeout(60000), headers: { Accept: 'application/json' } };
	if (body !== undefined) {
		options.body = JSON.stringify(body);
		options.headers['Content-Type'] = 'application/json';
	}
	try {
		response = await fetch(`api/${path}`, options);
	} catch {
		throw new ApiError('offline', t('err.offline'));
	}
	const data = await response.json().catch(() => null);
	if (!response.ok) throw problem(response.status, data, response.headers.get('Retry-After'));
	return data;
}

/** Fails if there is nothing to read at this path. */
export async function there(path) {
	const options = { method: 'HEAD', signal: AbortSignal.timeout(60000) };
	const response = await fetch(`api/${path}`, options).catch(() => {
		throw new ApiError('offline', t('err.offline'));
	});
	if (response.status === 404) throw new ApiError('not_found', '', 404);
	if (!response.ok) throw problem(response.status, null, null);
}

export const get = (path) => api('GET', path);
export const post = (path, body = {}) => api('POST', path, body);

/** Percent-encodes all but slashes. */
export const encodeName = (name) => name.split('/').map(encodeURIComponent).join('/');

function problem(status, data, retryAfter) {
	const error = new ApiError(
		data?.code ?? `http_${status}`,
		data?.detail ?? data?.error ?? t('err.http', { status }),
		status,
		Number(retryAfter) || 0,
	);
	error.data = data;
	if (error.code === 'pairing_required') onPairing();
	return error;
}

/** Asks whether the server would accept this file. */
export const checkUpload = (file, query) => get(`shares/check?${query}&size=${file.size}`);

/** Sends one file; resolves with the answer. handle.abort cancels. */
export function upload(file, query, onProgress) {
	const request = new XMLHttpRequest();
	const form = new FormData();
	form.append('file', file, file.name);
	const done = new Promise((resolve, reject) => {
		request.upload.onprogress = (event) => onProgress(Math.min(event.loaded, file.size));
		request.onload = () => {
			let data = null;
			try {
				data = JSON.parse(request.responseText);
			} catch {
				/* not JSON: the status is enough */
			}
			if (request.status === 200) resolve(data);
			else reject(problem(request.status, data, request.getResponseHeader('Retry-After')));
		};
		request.onerror = () => reject(new ApiError('offline', t('err.offline')));
		request.onabort = () => reject(new ApiError('cancelled', ''));
	});
	request.open('POST', `api/upload?${query}`);
	request.send(form);
	return { done, abort: () => request.abort() };
}
