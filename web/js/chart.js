import { h, setAttr, setText } from './dom.js';
import { speed } from './format.js';
import { t } from './i18n.js';

const SPAN = 120;

function trace(context, samples, top, width, height) {
	const step = width / (SPAN - 1);
	const start = width - (samples.length - 1) * step;
	context.beginPath();
	samples.forEach((value, i) => context.lineTo(start + i * step, height - 2 - (value / top) * (height - 8)));
}

/** The top of the scale: 1, 2 or 5 times a power of ten, at least 1 kB/s. */
function scaleOf(peak) {
	const power = 10 ** Math.floor(Math.log10(Math.max(1000, peak)));
	return [1, 2, 5, 10].map((step) => step * power).find((top) => top >= peak);
}

export function speedChart() {
	const el = h('canvas', { class: 'chart', role: 'img' });
	const scale = h('span', { class: 'chart-top' });
	const since = h('span', {}, t('chart.since'));
	const axis = h('div', { class: 'chart-axis', 'aria-hidden': 'true' }, since, h('span', {}, t('now')));
	const box = h('div', { class: 'chart-box' }, h('span', { 'aria-hidden': 'true' }, scale), el, axis);
	const describe = (samples) => {
		const now = speed(samples.at(-1) ?? 0);
		setAttr(el, 'aria-label', t('chart', { now, peak: speed(Math.max(0, ...samples)) }));
	};
	const draw = (samples) => {
		describe(samples);
		const { clientWidth: width, clientHeight: height } = el;
		if (!width) return;
		const ratio = devicePixelRatio || 1;
		if (el.width !== Math.round(width * ratio) || el.height !== Math.round(height * ratio)) {
			el.width = Math.round(width * ratio);
			el.height = Math.round(height * ratio);
		}
		const style = getComputedStyle(el);
		const context = el.getContext('2d');
		context.setTransform(ratio, 0, 0, ratio, 0, 0);
		context.clearRect(0, 0, width, height);
		const peak = scaleOf(Math.max(1, ...samples));
		context.strokeStyle = style.borderTopColor;
		context.lineWidth = 1;
		for (const part of [0.25, 0.5, 0.75, 1]) {
			context.beginPath();
			context.moveTo(0, Math.round(height * part) - 0.5);
			context.lineTo(width, Math.round(height * part) - 0.5);
			context.stroke();
		}
		if (samples.length > 1) {
			trace(context, samples, peak, width, height);
			context.strokeStyle = style.color;
			context.lineWidth = 2;
			context.lineJoin = 'round';
			context.stroke();
			context.lineTo(width, height);
			context.lineTo(width - ((samples.length - 1) * width) / (SPAN - 1), height);
			context.globalAlpha = 0.12;
			context.fillStyle = style.color;
			context.fill();
			context.globalAlpha = 1;
		}
		setText(scale, speed(peak));
	};
	describe([]);
	return { el: box, draw };
}
