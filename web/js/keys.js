// Keyboard shortcuts. Single keys can be turned off (WCAG 2.1.4). keytable.js shows them.
import { load } from './i18n.js';

let table = [];

export const keysOn = () => load('p2p.keys') !== 'off';

export const allKeys = () => table;

/** rows: [{keys: ['/'], label, run}] */
export function useKeys(rows) {
	table = rows;
}

export function listenForKeys(undo, palette) {
	document.addEventListener('keydown', (event) => {
		if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === 'k') {
			event.preventDefault(); // the browser's own search field
			palette();
		}
		const writes = event.target.closest?.('input, select, textarea');
		if ((event.ctrlKey || event.metaKey) && event.key === 'z' && !writes && undo()) event.preventDefault();
		if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || !keysOn()) return;
		if (event.target.closest?.('input, select, textarea, dialog')) return;
		const row = table.find((r) => r.keys.includes(event.key));
		if (!row) return;
		event.preventDefault();
		row.run();
	});
}
