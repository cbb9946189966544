// Runs before the first paint (a plain script) so that a chosen theme never flashes.
(function () {
	let theme = null;
	try {
		theme = localStorage.getItem('p2p.theme');
	} catch {
		/* storage is off: follow the system */
	}
	if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
})();
