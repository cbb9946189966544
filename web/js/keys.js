// Keyboard shortcuts. Single keys can be turned off (WCAG 2.1.4).
import { h } from './dom.js';
import { load, save, t } from './i18n.js';
import { dialog } from './ui.js';

let table = [];

export const keysOn = () => load('p2p.keys') !== 'off';

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

export function showKeys() {
	const box = h('input', {
		type: 'checkbox',
		id: 'keys-on',
		onchange: () => save('p2p.keys', box.checked ? null : 'off'),
	});
	box.checked = keysOn();
	const extra = [{ keys: ['Ctrl', 'K'], label: t('pal') }, { keys: ['↑', '↓'], label: t('key.rows') }, { keys: ['Ctrl', 'A'], label: t('key.all') }, { keys: ['Shift', '↓'], label: t('key.more') }, { keys: ['Shift', 'F10'], label: t('key.menu') }, { keys: ['F2'], label: t('rename') }, { keys: ['Del'], label: t('delete') }, { keys: ['Ctrl', 'Z'], label: t('undo') }, { keys: ['Esc'], label: t('key.esc') }];
	return dialog({
		title: t('keys'),
		body: [
			h(
				'table',
				{ class: 'keys' },
				h(
					'tbody',
					{},
					[...table, ...extra].map((r) =>
						h(
							'tr',
							{},
							h('th', { scope: 'row' }, r.keys.map((k) => h('kbd', {}, k))),
							h('td', {}, r.label),
						),
					),
				),
			),
			h('label', { class: 'check', for: 'keys-on' }, box, t('keys.on')),
		],
	});
}
