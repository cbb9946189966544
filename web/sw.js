// Keeps the shell of the page so that it opens while p2p-ui is away (and says so). The API is never cached.
// js/main.js puts a whole version into the cache: the page, and all files of v/VERSION/ that it has loaded. A file
// with a version in its address never changes, so it comes from the cache; everything else comes from p2p-ui if that
// answers. So the files of two versions are never mixed.
const CACHE = 'p2p-shell-2';

self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) =>
	event.waitUntil(
		(async () => {
			for (const name of await caches.keys()) if (name !== CACHE) await caches.delete(name);
			await self.clients.claim();
		})(),
	),
);

const isShell = (url) => url.origin === location.origin && !/\/(api\/|health$|metrics$)/.test(url.pathname);
const isLasting = (url) => /\/v\/[0-9a-f]+\//.test(url.pathname);

self.addEventListener('fetch', (event) => {
	const url = new URL(event.request.url);
	if (event.request.method !== 'GET' || !isShell(url)) return;
	const kept = async () => (await caches.open(CACHE)).match(event.request, { ignoreSearch: true });
	event.respondWith(
		(async () => {
			if (isLasting(url)) return (await kept()) ?? fetch(event.request);
			try {
				return await fetch(event.request);
			} catch {
				return (await kept()) ?? Response.error();
			}
		})(),
	);
});
