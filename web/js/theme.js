// Runs before the first paint, so that the theme does not flash.
(function () {
	let theme = null;
	try {
		theme = localStorage.getItem('p2p.theme');
	} catch {
		/* no storage: use the system's theme */
	}
	if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
})();
