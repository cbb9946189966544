// A face for each device: a pattern and a colour that its key decides.
import { h, icon } from './dom.js';

const SVG = 'http://www.w3.org/2000/svg';
const KINDS = { phone: 'device', tablet: 'device', laptop: 'laptop', desktop: 'desktop', server: 'desktop' };

/** 5 x 5 squares, the right half as the left one. */
function pattern(id) {
	const bits = [...id.slice(8, 23)].map((digit) => Number.parseInt(digit, 16) % 2 === 0);
	let path = '';
	bits.forEach((on, i) => {
		const [column, row] = [i % 3, Math.floor(i / 3)];
		for (const x of new Set([column, 4 - column])) if (on) path += `M${x} ${row}h1v1h-1Z`;
	});
	return path;
}

export function faceOf(peer) {
	const id = String(peer.peer_id_full);
	const svg = document.createElementNS(SVG, 'svg');
	const path = document.createElementNS(SVG, 'path');
	path.setAttribute('d', pattern(id));
	svg.setAttribute('viewBox', '0 0 5 5');
	svg.append(path);
	const kind = KINDS[peer.kind];
	const el = h('span', { class: 'face', 'aria-hidden': 'true' }, svg, kind && h('span', { class: 'face-kind' }, icon(kind)));
	el.style.setProperty('--hue', Number.parseInt(id.slice(0, 4), 16) % 360);
	return el;
}
