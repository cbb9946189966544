// The editor of a timetable of limits: times and numbers instead of "08:00,2M 23:00,off". Loaded with the settings.
import { button, h, hintLine, setAttr, setText } from './dom.js';
import { speed } from './format.js';
import { lang, t } from './i18n.js';

const MB = 1e6;
const DAY = 24 * 60;
const ROWS_MAX = 24; // of p2p-ui
const UNITS = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };
const TICK_MS = 20000;

/** "2M" or "off" as bytes a second; 0: no limit. */
export function bytesOf(text) {
	const [, digits, unit] = /^(\d+)([kmg]?)$/i.exec(text) ?? [];
	return digits ? digits * UNITS[unit.toLowerCase()] : 0;
}

const minuteOf = (time) => Number(time.slice(0, 2)) * 60 + Number(time.slice(3, 5));
const timeOf = (minute) => `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`;
const shownTime = (minute) => new Intl.DateTimeFormat(lang, { hour: 'numeric', minute: '2-digit', timeZone: 'UTC' }).format(minute * 60000);
export const shownRate = (bytes) => (bytes ? speed(bytes) : t('limit.off'));

/** "08:00,2M 23:00,off" as [{minute, bytes}], in order. */
export const parseTable = (text) =>
	text.trim().split(/\s+/).filter((entry) => entry.includes(',')).map((entry) => {
		const [time, rate] = entry.split(',');
		return { minute: minuteOf(time), bytes: bytesOf(rate) };
	});

export const formatTable = (rows) => rows.map(({ minute, bytes }) => `${timeOf(minute)},${bytes || 'off'}`).join(' ');

/** What holds at a minute of the day: before the first entry, the last one, which began the day before. */
export const rateAt = (rows, minute) => (rows.findLast((row) => row.minute <= minute) ?? rows.at(-1))?.bytes ?? 0;

const nowMinute = () => new Date().getHours() * 60 + new Date().getMinutes();

/** The day as a bar of 24 hours. */
function dayBar(rows) {
	const most = Math.max(1, ...rows.map((row) => row.bytes));
	const ends = [...rows.slice(1).map((row) => row.minute), DAY];
	const parts = [...(rows[0]?.minute > 0 ? [{ from: 0, to: rows[0].minute, bytes: rows.at(-1).bytes }] : []), ...rows.map((row, i) => ({ from: row.minute, to: ends[i], bytes: row.bytes }))];
	return parts.map(({ from, to, bytes }) => {
		const el = h('span', { class: bytes ? '' : 'free', title: `${shownTime(from)} – ${shownTime(to % DAY)}: ${shownRate(bytes)}` });
		el.style.flexGrow = to - from;
		el.style.blockSize = bytes ? `${25 + (55 * bytes) / most}%` : '100%';
		return el;
	});
}

/** `changed(el, text)`: a whole table was made; `wrong(el, text)`: what is not right, or ''. */
export function timetableEditor(changed, wrong) {
	const list = h('ul', { class: 'table-rows' });
	const bar = h('div', { class: 'day', role: 'img', dir: 'ltr' });
	const now = hintLine();
	let rows = [];

	const draw = () => {
		bar.replaceChildren(...dayBar(rows));
		setAttr(bar, 'aria-label', t('table.day', { list: rows.map((row) => `${shownTime(row.minute)} ${shownRate(row.bytes)}`).join(', ') }));
		tell();
	};
	const tell = () => setText(now, rows.length ? t('table.now', { rate: shownRate(rateAt(rows, nowMinute())) }) : '');
	const read = () => [...list.children].map((el) => ({ minute: minuteOf(el.querySelector('[type=time]').value || 'x'), bytes: Math.round((el.querySelector('[type=number]').valueAsNumber || 0) * MB), el }));
	const submit = (el) => {
		const all = read();
		const times = new Set(all.map((row) => row.minute));
		const bad = all.find((row) => Number.isNaN(row.minute) || row.el.querySelector('[type=number]').validity.badInput || (row.bytes !== 0 && row.bytes < MB / 100) || row.bytes < 0);
		if (bad || times.size < all.length) return wrong(el, t('table.bad'));
		rows = all.map(({ minute, bytes }) => ({ minute, bytes })).sort((a, b) => a.minute - b.minute);
		draw();
		return changed(el, formatTable(rows));
	};
	const line = ({ minute, bytes }) => {
		const onchange = (event) => submit(event.target);
		const time = h('input', { type: 'time', required: true, value: timeOf(minute), 'aria-label': t('table.from'), onchange });
		const rate = h('input', { type: 'number', min: 0, step: 'any', inputmode: 'decimal', value: bytes ? bytes / MB : '', 'aria-label': t('table.rate'), onchange });
		const drop = button(t('table.remove', { time: shownTime(minute) }), {
			icon: 'trash',
			bare: true,
			onclick: () => {
				if (list.children.length < 2) return;
				const near = el.nextElementSibling ?? el.previousElementSibling;
				el.remove();
				submit(near.querySelector('input'));
				near.querySelector('input').focus();
			},
		});
		const el = h('li', {}, time, rate, h('span', {}, 'MB/s'), drop);
		return el;
	};
	const more = button(t('table.add'), {
		icon: 'plus',
		kind: 'quiet',
		onclick: () => {
			const all = read();
			if (all.length >= ROWS_MAX) return;
			const last = all.at(-1)?.minute ?? 0;
			const free = [...Array(DAY / 60).keys()].map((i) => (Math.floor(last / 60) * 60 + (i + 1) * 60) % DAY).find((m) => !all.some((row) => row.minute === m));
			const el = line({ minute: free ?? 1, bytes: 0 });
			list.append(el);
			el.querySelector('input').focus();
			submit(el.querySelector('input'));
		},
	});
	setInterval(tell, TICK_MS);
	return {
		el: h('div', { class: 'timetable' }, bar, list, more, now),
		controls: () => [...list.querySelectorAll('input, button'), more],
		/** `text`: "08:00,2M 23:00,off". */
		fill: (text) => {
			rows = parseTable(text);
			list.replaceChildren(...rows.map(line));
			draw();
		},
		text: () => formatTable(rows),
		focus: () => list.querySelector('input')?.focus(),
	};
}
