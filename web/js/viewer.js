// Shows a file in the page, with its neighbors: pictures, video, audio, text. Loaded with the first one.
import { encodeName } from './api.js';
import { button, fileIcon, h, hintLine, icon, para, setAttr, setText, visible } from './dom.js';
import { save } from './files.js';
import { bytes } from './format.js';
import { number, t } from './i18n.js';
import { dialog, withParam } from './ui.js';

const TEXT_MAX = 256 * 1024;
const SWIPE = 60;

const urlOf = (folder, name) => `api/${folder}/${encodeName(name)}?view=1`;

/** For what has no picture here: its icon, and a sentence. */
const plain = (name, text, ...rest) => h('div', { class: 'view-none' }, fileIcon(name), para(text), rest);

const inTab = (url) =>
	h('a', { class: 'btn primary', href: url, target: '_blank', rel: 'noopener' }, icon('link'), h('span', {}, t('view.tab')));

/** The first part of a text. It is never anything but text. */
async function textOf(url) {
	const answer = await fetch(url, { headers: { Range: `bytes=0-${TEXT_MAX - 1}` } });
	if (!answer.ok && answer.status !== 416) throw new Error(); // 416: no bytes
	const whole = Number(answer.headers.get('Content-Range')?.split('/')[1] ?? 0);
	const text = answer.status === 416 ? '' : await answer.text();
	return [
		whole > TEXT_MAX ? hintLine(t('view.part', { size: bytes(TEXT_MAX) })) : '',
		h('pre', { class: 'view-text', tabindex: '0', dir: 'auto' }, text),
	];
}

/** What shows a file of this type; the server has looked at its bytes. */
async function content(name, url, type, failed) {
	const media = { src: url, onerror: failed };
	if (type.startsWith('image/')) return h('img', { ...media, alt: visible(name), draggable: 'false' });
	if (type.startsWith('video/')) return h('video', { ...media, controls: true, autoplay: true, playsinline: true });
	if (type.startsWith('audio/')) return [fileIcon(name), h('audio', { ...media, controls: true, autoplay: true })];
	if (type.startsWith('text/plain')) return textOf(url);
	if (type === 'application/pdf') return plain(name, visible(name.split('/').pop()), inTab(url));
	return plain(name, t('view.none'));
}

/** Left and right, by finger. */
function swipes(stage, step) {
	let from = null;
	stage.addEventListener('pointerdown', (e) => {
		from = e.pointerType === 'mouse' || e.target.closest('video, audio, pre') ? null : e.clientX;
	});
	stage.addEventListener('pointerup', (e) => {
		const way = from === null ? 0 : e.clientX - from;
		if (Math.abs(way) > SWIPE) step(way < 0 ? 1 : -1);
		from = null;
	});
}

/** `names`: the list around it, in its order. The address of the page names the file that is shown. */
export async function showFile(folder, names, first) {
	let at = Math.max(0, names.indexOf(first));
	let turn = 0;
	const title = h('bdi', { dir: 'auto' });
	const place = h('span', { class: 'meta', role: 'status' });
	const stage = h('div', { class: 'stage' });

	const show = async () => {
		const name = names[at];
		const url = urlOf(folder, name);
		turn += 1;
		const mine = turn;
		const put = (...kids) => mine === turn && stage.replaceChildren(...kids.flat());
		setText(title, visible(name.split('/').pop()));
		setText(place, names.length > 1 ? t('view.at', { i: number(at + 1), all: number(names.length) }) : '');
		setAttr(back, 'aria-disabled', at === 0 ? 'true' : null);
		setAttr(next, 'aria-disabled', at === names.length - 1 ? 'true' : null);
		put(hintLine(t('loading')));
		const answer = await fetch(url, { method: 'HEAD' }).catch(() => null);
		if (!answer?.ok) return put(plain(name, t(answer?.status === 404 ? 'err.not_found' : 'err.offline')));
		const failed = () => put(plain(name, t('view.none')));
		return put(await content(name, url, answer.headers.get('Content-Type') ?? '', failed).catch(() => plain(name, t('err.offline'))));
	};
	const step = (by) => {
		if (!names[at + by]) return;
		at += by;
		history.replaceState(history.state, '', withParam('open', names[at]));
		show();
	};
	const back = button(t('view.prev'), { icon: 'chevron', bare: true, kind: 'prev', onclick: () => step(-1) });
	const next = button(t('view.next'), { icon: 'chevron', bare: true, kind: 'next', onclick: () => step(1) });
	const keep = button(t('save'), { icon: 'download', onclick: () => save(folder, names[at]) });
	for (const one of [back, next]) one.hidden = names.length < 2;
	swipes(stage, (by) => step(document.documentElement.dir === 'rtl' ? -by : by));

	const done = dialog({ title, className: 'viewer', param: ['open', first], body: [stage, h('div', { class: 'view-bar' }, back, place, next, keep)] });
	stage.closest('dialog').addEventListener('keydown', (e) => {
		const by = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
		if (!by || e.ctrlKey || e.altKey || e.metaKey || e.target.matches('video, audio')) return;
		e.preventDefault();
		step(document.documentElement.dir === 'rtl' ? -by : by);
	});
	show();
	await done;
	turn += 1;
	stage.replaceChildren(); // ends what plays
}
