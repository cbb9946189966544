// The sheet of what moves, what moved day by day, and what was said. Loaded with the first look.
import { loadActivity } from './data.js';
import { takenNow } from './dock.js';
import { button, fileIcon, fileName, grow, h, hintLine, icon, item, metaText, setFileName, setText, visible } from './dom.js';
import { bytes, left, percent, percentText, speed } from './format.js';
import { lang, t } from './i18n.js';
import { changed, on, state } from './store.js';
import { RUNNING, act } from './transfers.js';
import { attempt, called, dialog, progressBar } from './ui.js';
import { cancelUpload } from './upload.js';

const DAY_S = 86400;
const DAYS_SHOWN = 14;
const NAMES_SHOWN = 3;

const ownName = (name) => visible(name.split('/').pop());
const whoOf = (one) => called({ ...one, ...one.peer });

/** Everything that moves now, whichever way, in one form. */
function moving() {
	const down = [...state.transfers.byId.values()].filter((x) => RUNNING.has(x.state));
	const up = state.uploads.filter((u) => u.state === 'sending' || u.state === 'waiting');
	return [
		...down.map((x) => ({
			id: `down ${x.id}`,
			name: x.filename,
			mark: 'download',
			who: x.sources.filter((s) => s.state === 'active').map(called).join(', '),
			part: x.received,
			whole: x.size ?? 0,
			speed: x.speed,
			acts: [['pause', t('pause'), () => act(x, 'pause')]],
		})),
		...up.map((u) => ({ id: `up ${u.id}`, name: u.name, mark: 'share', who: '', part: u.sent, whole: u.size, speed: u.speed, acts: [['close', t('cancel'), () => cancelUpload(u)]] })),
		...takenNow().map((one) => ({ id: one.id, name: one.name, mark: 'peers', who: whoOf(one), part: Math.min(one.done, one.size), whole: one.size, speed: one.speed, acts: [] })),
	];
}

function movingRow(first) {
	const name = fileName(first.name);
	const meta = metaText();
	const bar = progressBar(t('progress.of', { name: ownName(first.name) }));
	const acts = first.acts.map(([mark, label], i) => button(label, { icon: mark, bare: true, onclick: () => now.acts[i][2]() }));
	let now = first;
	const update = (next) => {
		now = next;
		setFileName(name, next.name);
		const p = percent(next.part, next.whole);
		bar.set(p, percentText(p));
		const rest = next.speed > 0 ? [speed(next.speed), left((next.whole - next.part) / next.speed)] : [];
		setText(meta, [next.who, t('of', { part: bytes(next.part), whole: bytes(next.whole) }), ...rest].filter(Boolean).join(' · '));
	};
	return { el: item(h('span', { class: 'way' }, icon(first.mark)), grow(name, bar.el, meta), acts), update };
}

/** Rows by id, so that a button keeps its focus. */
function movingList() {
	const el = h('ul', { class: 'sources', 'aria-label': t('act.now') });
	const none = hintLine(t('act.none'));
	const rows = new Map();
	const render = () => {
		const all = moving();
		const ids = new Set(all.map((one) => one.id));
		for (const [id, row] of rows) {
			if (ids.has(id)) continue;
			row.el.remove();
			rows.delete(id);
		}
		for (const one of all) {
			if (!rows.has(one.id)) {
				rows.set(one.id, movingRow(one));
				el.append(rows.get(one.id).el);
			}
			rows.get(one.id).update(one);
		}
		none.hidden = all.length > 0;
		el.hidden = all.length === 0;
	};
	return { parts: [el, none], render };
}

/** What has ended: {time, way, who, name, size}, the newest first. */
function ended() {
	const down = [...state.transfers.byId.values()]
		.filter((x) => x.finished && (x.state === 'completed' || x.state === 'failed'))
		.map((x) => ({ time: x.finished, way: x.state === 'failed' ? 'failed' : 'got', who: x.sources.map(called)[0] ?? t('the.device'), name: x.filename, size: x.size ?? 0 }));
	const up = state.activity.list.filter((one) => one.ended).map((one) => ({ time: one.ended, way: 'took', who: whoOf(one), name: one.name, size: one.size }));
	return [...down, ...up].sort((a, b) => b.time - a.time);
}

const dayOf = (time) => new Date(time * 1000).toDateString();

/** Things of one day, one way and one device are one line. */
function byDay() {
	const days = new Map();
	for (const one of ended()) {
		const day = dayOf(one.time);
		if (!days.has(day)) days.set(day, new Map());
		const groups = days.get(day);
		const key = `${one.way} ${one.who}`;
		const group = groups.get(key) ?? { ...one, names: [], size: 0 };
		group.names.push(one.name);
		group.size += one.size;
		groups.set(key, group);
	}
	return [...days.values()].slice(0, DAYS_SHOWN).map((groups) => [...groups.values()]);
}

function dayTitle(time) {
	const midnight = new Date().setHours(0, 0, 0, 0) / 1000;
	const back = Math.ceil((midnight - time) / DAY_S);
	if (back < 2) return new Intl.RelativeTimeFormat(lang, { numeric: 'auto' }).format(-Math.max(0, back), 'day');
	return new Intl.DateTimeFormat(lang, { dateStyle: 'full' }).format(time * 1000);
}

const moment = (time) => new Intl.DateTimeFormat(lang, { timeStyle: 'short' }).format(time * 1000);

function sentence(group) {
	const { names, who, way } = group;
	if (names.length > 1) return t(`act.${way}.n`, { n: names.length, who });
	return t(`act.${way}`, { who, name: ownName(names[0]) });
}

function groupRow(group) {
	const { names } = group;
	const more = names.length > 1 ? names.slice(0, NAMES_SHOWN).map(ownName).join(', ') + (names.length > NAMES_SHOWN ? ' …' : '') : '';
	return item(
		fileIcon(names[0]),
		grow(h('span', { class: group.way === 'failed' ? 'why' : '' }, sentence(group)), metaText([more, bytes(group.size), moment(group.time)].filter(Boolean).join(' · '))),
	);
}

const days = () => byDay().map((groups) => [h('h3', { class: 'day' }, dayTitle(groups[0].time)), h('ul', { class: 'sources' }, groups.map(groupRow))]);

const noteRow = (note) =>
	item(h('span', { class: `way ${note.kind}` }, icon(note.kind === 'error' ? 'alert' : note.kind === 'ok' ? 'check' : 'info')), grow(h('span', {}, note.text), metaText(moment(note.time))));

export async function showActivity() {
	await attempt(loadActivity);
	const now = movingList();
	const past = h('div', { class: 'days' });
	const notes = h('ul', { class: 'sources', 'aria-label': t('act.notes') });
	const said = h('section', {}, h('h3', { class: 'day' }, t('act.notes')), notes);
	let drawn = '';
	const render = () => {
		now.render();
		const lines = days();
		const shape = JSON.stringify(byDay().map((groups) => groups.map(sentence)));
		if (shape !== drawn) past.replaceChildren(...lines.flat());
		drawn = shape;
		said.hidden = state.notes.length === 0;
		if (notes.childElementCount !== state.notes.length) notes.replaceChildren(...state.notes.map(noteRow));
	};
	for (const note of state.notes) note.seen = true;
	changed('notes');
	const stop = on('uploads transfers activity notes', render);
	render();
	await dialog({ title: t('act'), className: 'wide activity', body: [h('h3', { class: 'day' }, t('act.now')), now.parts, past, said] });
	stop();
}
