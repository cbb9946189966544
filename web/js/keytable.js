// The table of keyboard shortcuts, and the switch for single keys. Loaded when it is asked for.
import { h } from './dom.js';
import { save, t } from './i18n.js';
import { allKeys, keysOn } from './keys.js';
import { dialog } from './ui.js';

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
					[...allKeys(), ...extra].map((r) =>
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
