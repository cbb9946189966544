// The pieces of a transfer, colored by the device that sent them, and the proof. Loaded with the first one.
import { get } from './api.js';
import { grow, h, hintLine, icon, item, metaText, para, setAttr, setText } from './dom.js';
import { number, t } from './i18n.js';
import { percentText } from './format.js';
import { called, command } from './ui.js';

const TURN = 137.5; // degrees: neighbors in the list differ clearly

const paint = (el, hue) => el.style.setProperty('--hue', hue === null ? 0 : Math.round(hue * TURN) % 360);

function cellsOf(count) {
	const cells = Array.from({ length: count }, () => h('i', {}));
	return { cells, el: h('div', { class: 'cells', role: 'img' }, cells) };
}

function deviceLine(device, place, count) {
	const mark = h('i', { class: 'swatch', 'aria-hidden': 'true' });
	paint(mark, place);
	const share = percentText(Math.floor((100 * device.pieces) / count));
	return item(mark, grow(h('span', {}, called(device)), metaText(`${t('n.pieces', { n: device.pieces })} · ${share}`)));
}

/** What was checked: for whom wants to check it again. */
function proofOf(one) {
	return h('details', { class: 'proof' }, h('summary', {}, icon('shield'), h('span', {}, t('proof'))),
		para(t('proof.text')),
		one.root && hintLine(t('proof.root')),
		one.root && command(one.root),
		hintLine(t('sha.text')),
		command(one.sha256),
	);
}

/** For the details of a transfer; `update` is called again and again. */
export function swarmOf(first) {
	const el = h('section', { class: 'swarm', 'aria-label': t('swarm') });
	const before = h('li', { class: 'meta' }, t('swarm.before'));
	let map = null;
	let shown = '';
	let proof = null;
	const draw = (pieces) => {
		if (!pieces.count) return;
		if (map?.cells.length !== pieces.done.length) map = cellsOf(pieces.done.length);
		map.cells.forEach((cell, i) => {
			const from = pieces.device[i];
			paint(cell, from);
			setAttr(cell, 'class', pieces.done[i] === 0 ? null : from === null ? 'old' : 'here');
			cell.style.opacity = pieces.done[i] === 0 ? '' : 0.35 + (0.65 * pieces.done[i]) / 100;
		});
		const here = Math.floor(pieces.done.reduce((sum, done) => sum + done, 0) / pieces.done.length);
		setAttr(map.el, 'aria-label', t('swarm.of', { percent: percentText(here), devices: number(pieces.devices.length) }));
		const lines = pieces.devices.map((device, i) => deviceLine(device, i, pieces.count));
		const old = pieces.device.some((from, i) => from === null && pieces.done[i] > 0);
		el.replaceChildren(h('h3', {}, t('swarm')), map.el, h('ul', { class: 'sources' }, lines, old && before), proof ?? '');
	};
	const update = async (one) => {
		if (one.state === 'completed' && one.sha256 && !proof) proof = proofOf(one);
		const now = `${one.state} ${one.verified}`;
		if (now === shown) return;
		shown = now;
		const pieces = await get(`transfers/${one.id}/pieces`).catch(() => null);
		if (pieces?.count) draw(pieces);
		else if (proof) el.replaceChildren(proof);
	};
	update(first);
	return { el, update };
}
