// What moves now, one glance away from every view. A press opens the sheet with all of it.
import { loadActivity } from './data.js';
import { button, h, icon, setAttr, setText, visible } from './dom.js';
import { percent, percentText, speed } from './format.js';
import { later, number, t } from './i18n.js';
import { changed, on, state } from './store.js';
import { totals } from './transfers.js';
import { attempt, called } from './ui.js';
import { uploadTotals } from './upload.js';

const BUSY_MS = 3000;
const IDLE_MS = 12000;

export const openActivity = () => attempt(async () => (await later(import('./activity.js'))).showActivity());

/** What other devices download from this one now. */
export const takenNow = () => state.activity.list.filter((one) => !one.ended);

function upLine() {
	const up = uploadTotals();
	if (up.stopped) return t('up.stopped', { n: up.stopped });
	return up.open ? `${t('up.n', { n: up.open })} · ${percentText(percent(up.sent, up.size))}` : '';
}

function downLine() {
	const sum = totals();
	if (sum.running === 0) return '';
	return [t('act.down', { n: sum.running }), percentText(percent(sum.received, sum.size)), sum.speed > 0 && speed(sum.speed)].filter(Boolean).join(' · ');
}

function takenLine() {
	const taken = takenNow();
	if (taken.length === 0) return '';
	const rate = taken.reduce((sum, one) => sum + one.speed, 0);
	const [one] = taken;
	const what = taken.length > 1 ? t('act.taken', { n: taken.length }) : t('act.takes', { who: called({ ...one, ...one.peer }), name: visible(one.name.split('/').pop()) });
	return rate > 0 ? `${what} · ${speed(rate)}` : what;
}

/** Asks p2p-peer, more often while somebody downloads from here. */
function keepAsking() {
	let due = 0;
	const ask = () => {
		if (document.hidden || Date.now() < due) return;
		due = Date.now() + (takenNow().length ? 0 : IDLE_MS);
		loadActivity().catch(() => {});
	};
	return setInterval(ask, BUSY_MS);
}

let asking = 0;

/** `dock`: beside or above the view; `bell`: in the top bar of a narrow page. */
export function activityDock() {
	const lines = ['up', 'down', 'taken'].map((id) => h('span', { class: `dock-${id}` }));
	const unread = h('span', { class: 'count', hidden: true });
	const idle = h('span', { class: 'dock-idle' }, t('act'));
	const dock = h('button', { type: 'button', class: 'up-link', onclick: openActivity }, icon('transfers'), h('span', { class: 'dock-lines' }, lines, idle), unread);
	const dot = h('span', { class: 'bell-dot', hidden: true });
	const bell = button(t('act'), { icon: 'clock', bare: true, kind: 'narrow-only bell', onclick: openActivity });
	bell.append(dot);
	const render = () => {
		const texts = [upLine(), downLine(), takenLine()];
		lines.forEach((line, i) => {
			setText(line, texts[i]);
			line.hidden = !texts[i];
		});
		const moves = texts.some(Boolean);
		idle.hidden = moves;
		setAttr(dock, 'class', ['up-link', uploadTotals().stopped && 'bad', !moves && 'idle'].filter(Boolean).join(' '));
		const news = state.notes.filter((note) => !note.seen).length;
		unread.hidden = dot.hidden = news === 0;
		setText(unread, number(news));
	};
	on('uploads transfers activity notes', render);
	render();
	clearInterval(asking);
	asking = keepAsking();
	return { dock, bell };
}

const NOTES_MAX = 100;

/** Messages stay in the sheet after they have gone from the page. */
export function keepNote(text, kind) {
	state.notes.unshift({ text, kind, time: Date.now() / 1000, seen: kind !== 'error' });
	state.notes.length = Math.min(state.notes.length, NOTES_MAX);
	changed('notes');
}
