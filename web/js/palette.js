// Ctrl+K: every view, action, device and file, found by words in any order. Each line shows the command that does the
// same. Loaded when it is opened for the first time.
import { commands, deviceRows, fileRows, folderRows, found, offerRows, others, places, searchRow, transferRows } from './actions.js';
import { loadDownloads, loadPeers, loadShared } from './data.js';
import { h, hintLine, icon, kindOf, setAttr, setText } from './dom.js';
import { load, save, t } from './i18n.js';
import { rank } from './match.js';
import { actionsOf } from './views/peers.js';
import { copy, command, dialog } from './ui.js';
import { state } from './store.js';

const SHOWN = 40;
const RECENT = 12;
const PAUSE_MS = 300;

const recent = () => {
	try {
		return JSON.parse(load('p2p.recent', '[]'));
	} catch {
		return [];
	}
};

function remember(id) {
	save('p2p.recent', JSON.stringify([id, ...recent().filter((other) => other !== id)].slice(0, RECENT)));
}

const everything = () => [...places(), ...offerRows(), ...others(), ...commands(), ...deviceRows(actionsOf), ...transferRows(), ...folderRows(), ...fileRows()];

/** Those that match all words, the best first; without words those that were used last, and the shallow ones. */
function chosen(rows, text) {
	const used = recent();
	const lately = (one) => {
		const at = used.indexOf(one.id);
		return at < 0 ? 0 : RECENT - at;
	};
	if (!text) {
		const shallow = rows.filter((one) => !one.deep && !one.file);
		return [...rows.filter((one) => lately(one)).sort((a, b) => lately(b) - lately(a)), ...shallow.filter((one) => !lately(one))];
	}
	return rank(rows, text, (one) => `${one.label} ${one.line ?? ''} ${one.hint ?? ''}`, lately);
}

function option(one, i) {
	const label = h('span', { class: 'pal-label', dir: 'auto' }, one.label);
	const hint = one.why ?? one.hint;
	return h(
		'li',
		{ role: 'option', id: `pal-${i}`, class: `pal-row ${one.why ? 'off' : ''}`, 'aria-selected': 'false' },
		icon(one.icon ?? kindOf(one.file)),
		h('span', { class: 'grow' }, label, hint && h('span', { class: 'meta', dir: 'auto' }, hint)),
		one.line && h('code', { dir: 'ltr' }, one.line),
	);
}

function parts() {
	const input = h('input', {
		type: 'search',
		id: 'pal-box',
		role: 'combobox',
		'aria-label': t('pal.label'),
		'aria-expanded': 'true',
		'aria-controls': 'pal-list',
		'aria-autocomplete': 'list',
		placeholder: t('pal.hint'),
		autocomplete: 'off',
		spellcheck: 'false',
		autofocus: true,
		maxlength: 200,
		dir: 'auto',
	});
	const list = h('ul', { role: 'listbox', id: 'pal-list', class: 'pal-list', 'aria-label': t('pal.label'), tabindex: '-1' });
	const none = h('p', { class: 'hint center', hidden: true }, t('pal.none'));
	const said = h('p', { class: 'offscreen', role: 'status' });
	return { input, list, none, said };
}

export async function showPalette() {
	if (document.querySelector('dialog.palette')) return;
	const { input, list, none, said } = parts();
	const line = command('');
	const foot = h('div', { class: 'pal-foot' }, hintLine(t('pal.command')), line);
	let rows = everything();
	let shown = [];
	let remote = [];
	let at = 0;
	let close = null;
	let timer = 0;
	let turn = 0;

	const mark = (to) => {
		at = Math.max(0, Math.min(to, shown.length - 1));
		for (const [i, el] of [...list.children].entries()) setAttr(el, 'aria-selected', String(i === at));
		setAttr(input, 'aria-activedescendant', shown.length ? `pal-${at}` : null);
		list.children[at]?.scrollIntoView({ block: 'nearest' });
		foot.hidden = !shown[at]?.line;
		setText(line.querySelector('code'), shown[at]?.line ?? '');
	};
	const render = (to = 0) => {
		const text = input.value.trim();
		shown = [...chosen(rows, text).slice(0, SHOWN), ...remote, ...(text ? [searchRow(text)] : [])];
		list.replaceChildren(...shown.map(option));
		none.hidden = shown.length > 0;
		setText(said, t('n.results', { n: shown.length, more: '' }));
		mark(to);
	};
	const pick = (one) => {
		if (!one) return;
		if (one.why) copy(one.line);
		else close(one);
	};
	/** Files that others have, after the typing has paused. */
	const ask = () => {
		clearTimeout(timer);
		remote = [];
		turn += 1;
		const mine = turn;
		const text = input.value.trim();
		if (text.length < 2) return;
		timer = setTimeout(async () => {
			const more = await found(text).catch(() => []);
			if (mine !== turn || more.length === 0) return;
			remote = more;
			render(at);
		}, PAUSE_MS);
	};
	input.addEventListener('input', () => {
		ask();
		render();
	});
	input.addEventListener('keydown', (event) => {
		const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
		if (step) mark(Math.abs(step) > 1 ? at + step : (at + step + shown.length) % Math.max(1, shown.length));
		else if (event.key === 'Enter' && !event.isComposing) pick(shown[at]);
		else if (event.key === 'Escape') close(null); // the browser would only empty the field
		else return;
		event.preventDefault();
	});
	list.addEventListener('mousedown', (event) => event.preventDefault()); // the field keeps the focus
	list.addEventListener('click', (event) => pick(shown[[...list.children].indexOf(event.target.closest('[role=option]'))]));
	render();
	const done = dialog({
		title: t('pal'),
		className: 'palette',
		body: (end) => {
			close = end;
			return [input, said, list, none, foot];
		},
	});
	const more = [loadShared, loadDownloads, loadPeers].map((read, i) => ([state.shared, state.downloads, state.peers][i].loaded ? null : read()));
	Promise.allSettled(more).then(() => {
		rows = everything();
		render(at);
	});
	const one = await done;
	turn += 1;
	clearTimeout(timer);
	if (!one) return;
	remember(one.id);
	await one.run();
}
