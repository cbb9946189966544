// Runs before the first paint, so that the theme does not flash.
(function () {
	const read = (storage, key) => {
		try {
			return self[storage].getItem(key);
		} catch {
			return null; // no storage: the system's theme
		}
	};
	const theme = read('localStorage', 'p2p.theme');
	if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;

	// A part of the page did not load, because the connection was cut or p2p-ui restarts: the page begins
	// again, later each time, until all of it is there.
	const MOST_MS = 20000;
	let waits = false;
	const again = (event) => {
		if (waits || !event.target.matches?.('script, link[rel="stylesheet"]')) return;
		waits = true;
		const count = Number(read('sessionStorage', 'p2p.again')) || 0;
		try {
			sessionStorage.setItem('p2p.again', count + 1);
		} catch {
			/* no storage: always the same pause */
		}
		setTimeout(() => location.reload(), Math.min(MOST_MS, 500 * 2 ** count));
	};
	addEventListener('error', again, true);
	addEventListener('load', () => {
		try {
			if (!waits) sessionStorage.removeItem('p2p.again');
		} catch {
			/* no storage */
		}
	});
})();
