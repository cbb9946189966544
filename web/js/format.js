import { lang, t } from './i18n.js';

const UNITS = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'];
const cache = new Map();

function unit(value, name, digits, display = 'short') {
	const key = `${lang} ${name} ${digits} ${display}`;
	if (!cache.has(key)) {
		const options = { style: 'unit', unit: name, unitDisplay: display, maximumFractionDigits: digits };
		cache.set(key, new Intl.NumberFormat(lang, options));
	}
	return cache.get(key).format(value);
}

/** Speeds begin at kilobytes. */
function scaled(value, suffix) {
	let i = suffix ? 1 : 0;
	let v = suffix ? value / 1000 : value;
	while (v >= 999.5 && i < UNITS.length - 1) {
		v /= 1000;
		i += 1;
	}
	return unit(v, UNITS[i] + suffix, i === 0 || v >= 100 ? 0 : 1, i === 0 ? 'long' : 'short');
}

export const bytes = (n) => (n === null || n === undefined ? '—' : scaled(n, ''));
export const speed = (n) => scaled(n ?? 0, '-per-second');

export function duration(seconds) {
	const s = Math.max(0, Math.round(seconds));
	if (s < 60) return unit(s, 'second', 0);
	if (s < 3600) return unit(Math.round(s / 60), 'minute', 0);
	if (s < 86400) {
		const minutes = Math.round((s % 3600) / 60);
		const hours = unit(Math.floor(s / 3600), 'hour', 0);
		return minutes && s < 36000 ? `${hours} ${unit(minutes, 'minute', 0)}` : hours;
	}
	return unit(Math.round(s / 86400), 'day', 0);
}

export const left = (seconds) => t('left', { time: duration(seconds) });

export function percent(part, whole) {
	if (!whole) return whole === 0 ? 100 : 0;
	return Math.min(100, Math.floor((part / whole) * 100));
}

export const percentText = (p) => new Intl.NumberFormat(lang, { style: 'percent' }).format(p / 100);

const STEPS = [['day', 86400], ['hour', 3600], ['minute', 60]];

export function ago(time) {
	const seconds = Date.now() / 1000 - time;
	if (seconds > 7 * 86400) return new Intl.DateTimeFormat(lang, { dateStyle: 'medium' }).format(time * 1000);
	const step = STEPS.find(([, size]) => seconds >= size);
	if (!step) return t('now');
	return new Intl.RelativeTimeFormat(lang, { numeric: 'auto' }).format(-Math.floor(seconds / step[1]), step[0]);
}

export const clock = (time) => new Intl.DateTimeFormat(lang, { timeStyle: 'medium' }).format(time * 1000);
