// One event stream for all tabs (a browser opens about six connections to a server).
// The leading tab has the EventSource and sends events over a BroadcastChannel; the newest claim leads.
// A tab without messages claims the lead. If events fail but the server answers, lists are polled.
import { EVENTS, apply, reload, stall } from './data.js';
import { changed, state } from './store.js';

const BEAT_MS = 2000;
const SILENCE_MS = 6000;
const HIDDEN_SILENCE_MS = 75000; // timers of hidden tabs run once a minute
const POLL_MS = 3000;

const me = Math.random().toString(36).slice(2);
const channel = 'BroadcastChannel' in self ? new BroadcastChannel('p2p.live') : null;
let source = null;
let leading = false;
let claimed = 0;
let heard = Date.now();
let failures = 0;
let pollTimer = 0;
let listener = () => {};

export const onEvent = (f) => {
	listener = f;
};
const tell = (message) => channel?.postMessage({ from: me, ...message });

function setConnection(value) {
	if (state.connection === value) return;
	state.connection = value;
	if (value === 'offline') stall();
	changed('connection');
}

function receive(name, data) {
	apply(name, data);
	listener(name, data);
}

function share(value) {
	setConnection(value);
	tell({ kind: 'state', value });
}

function openStream() {
	source?.close();
	source = new EventSource('api/events');
	source.onopen = () => {
		// The server repeats missed events, or sends "resync".
		failures = 0;
		clearTimeout(pollTimer);
		pollTimer = 0;
		share('live');
	};
	source.onerror = () => {
		failures += 1;
		if (source.readyState === EventSource.CLOSED) {
			setTimeout(() => leading && openStream(), Math.min(15000, 1000 * 2 ** Math.min(failures, 4)));
		}
		if (!pollTimer) poll();
	};
	for (const name of EVENTS) {
		source.addEventListener(name, (event) => receiveAndTell(name, parse(event.data)));
	}
}

function receiveAndTell(name, data) {
	if (data === null) return;
	receive(name, data);
	tell({ kind: 'event', name, data });
}

function parse(text) {
	try {
		return JSON.parse(text);
	} catch {
		return null;
	}
}

/** Polls the lists while the stream is down. */
async function poll() {
	try {
		await reload();
		if (failures) share(failures > 1 ? 'polling' : 'connecting');
	} catch (error) {
		if (failures) share(error.code === 'offline' ? 'offline' : 'connecting');
	}
	if (failures && leading) pollTimer = setTimeout(poll, POLL_MS);
}

function lead() {
	leading = true;
	claimed = Date.now();
	tell({ kind: 'lead', claimed });
	openStream();
}

function follow() {
	if (!leading) return;
	leading = false;
	source?.close();
	source = null;
	clearTimeout(pollTimer);
	pollTimer = 0;
}

const newer = (message) => message.claimed > claimed || (message.claimed === claimed && message.from > me);

function hear({ data: message }) {
	if (message.kind === 'hello') {
		if (leading) tell({ kind: 'lead', claimed, value: state.connection });
		return;
	}
	if (message.kind === 'bye') {
		heard = 0; // the leader has gone: the watcher claims at its next turn
		return;
	}
	if (message.kind === 'lead') {
		if (leading && !newer(message)) {
			tell({ kind: 'lead', claimed, value: state.connection });
			return;
		}
		follow();
		if (message.value) setConnection(message.value);
	}
	if (leading) return;
	heard = Date.now();
	if (message.kind === 'event') receive(message.name, message.data);
	if (message.kind === 'state') setConnection(message.value);
}

function watch() {
	const patience = document.hidden ? HIDDEN_SILENCE_MS : SILENCE_MS;
	if (leading) tell({ kind: 'beat', claimed });
	else if (Date.now() - heard > patience) lead();
}

export function startLive() {
	channel?.addEventListener('message', hear);
	addEventListener('pagehide', () => {
		if (leading) tell({ kind: 'bye' });
		follow();
	});
	addEventListener('pageshow', (event) => event.persisted && reload().catch(() => {}));
	setInterval(watch, BEAT_MS);
	tell({ kind: 'hello' });
	// Without an answer of a leader, this tab leads.
	heard = 0;
	setTimeout(() => heard === 0 && lead(), channel ? 150 + Math.random() * 100 : 0);
}
