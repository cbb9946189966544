// Keeps the shell of the page so that it opens while p2p-ui is away (and says so). The API is never cached.
// js/main.js fills the cache with what the first visit has loaded.
const CACHE = 'p2p-shell-1';

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

self.addEventListener('fetch', (event) => {
	if (event.request.method !== 'GET' || !isShell(new URL(event.request.url))) return;
	event.respondWith(
		(async () => {
			const cache = await caches.open(CACHE);
			try {
				const fresh = await fetch(event.request);
				if (fresh.ok) await cache.put(event.request, fresh.clone());
				return fresh;
			} catch {
				return (await cache.match(event.request, { ignoreSearch: true })) ?? Response.error();
			}
		})(),
	);
});
