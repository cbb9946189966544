// The state of the page. Views read it and get the changed topics once per frame.

export const state = {
	view: '',
	status: null,
	connection: 'connecting', // connecting, live, polling, offline
	shared: { files: [], count: 0, totalSize: 0, loaded: false },
	downloads: { files: [], count: 0, totalSize: 0, loaded: false },
	peers: { list: [], reachable: true, loaded: false },
	transfers: { byId: new Map(), loaded: false },
	uploads: [],
	activity: { list: [], loaded: false }, // what other devices download from this one
	notes: [], // messages that were shown, the newest first: {text, kind, time, seen}
	offers: { list: [], devices: [], paired: false }, // what people send to each other
	at: '', // the folder that the view of shared files shows
	into: null, // name of the shared folder that gets them; null: the one with bare names
	grants: [], // rules for shared folders; only the owner gets them
	config: null,
	speeds: [], // total download speed, one sample a second, the last two minutes
};

/** Ordinary paired devices do not see the owner's actions. */
export const isOwner = () => ['local', 'owner'].includes(state.status?.caller);

const listeners = new Map();
const dirty = new Set();

/** Returns what ends the listening. */
export function on(topics, listener) {
	const names = topics.split(' ');
	for (const topic of names) {
		if (!listeners.has(topic)) listeners.set(topic, new Set());
		listeners.get(topic).add(listener);
	}
	return () => names.forEach((topic) => listeners.get(topic)?.delete(listener));
}

export const forgetListeners = () => listeners.clear();

export function changed(...topics) {
	if (dirty.size === 0) requestAnimationFrame(flush);
	for (const topic of topics) dirty.add(topic);
}

function flush() {
	const topics = [...dirty];
	dirty.clear();
	const called = new Set(topics.flatMap((topic) => [...(listeners.get(topic) ?? [])]));
	for (const listener of called) {
		try {
			listener();
		} catch (error) {
			console.error(error); // one view that fails stops no other
		}
	}
}
