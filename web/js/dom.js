// Builds the page. Text is always a text node, never markup.

const SVG = 'http://www.w3.org/2000/svg';

/** h('button', {class: 'x', onclick: f}, 'text', child); skips false and null. */
export function h(tag, props, ...kids) {
	const el = document.createElement(tag);
	for (const [name, value] of Object.entries(props ?? {})) attr(el, name, value);
	el.append(...kids.flat(Infinity).filter((k) => k !== null && k !== undefined && k !== false));
	return el;
}

export function attr(el, name, value) {
	if (name.startsWith('on')) el.addEventListener(name.slice(2), value);
	else if (value === false || value === null || value === undefined) el.removeAttribute(name);
	else if (name === 'value') el.value = value;
	else el.setAttribute(name, value === true ? '' : String(value));
}

/** Changes the text only if it differs, so that selections stay. */
export function setText(el, text) {
	const value = text ?? '';
	if (el.textContent !== value) el.textContent = value;
}

export function setAttr(el, name, value) {
	const now = el.getAttribute(name);
	const next =
		value === false || value === null || value === undefined ? null : value === true ? '' : String(value);
	if (now !== next) attr(el, name, value);
}

// Characters that could make a name look like another one.
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

export const visible = (name) => String(name ?? '').replace(UNSAFE, '\ufffd');

/** The folder of a name, for the second line; '' if there is none. */
export const folderOf = (name) => visible(name).split('/').slice(0, -1).join('/');

/** A file name in one line; the tooltip has the whole name. */
export function fileName(name) {
	const el = h('bdi', { class: 'name', dir: 'auto' });
	setFileName(el, name);
	return el;
}

export function setFileName(el, name) {
	if (el.dataset.raw === name) return;
	el.dataset.raw = name;
	el.title = visible(name);
	// Without its folder, and with the end always visible: "(1)" and the extension.
	const own = el.title.slice(el.title.lastIndexOf('/') + 1) || el.title;
	const [, stem, end] = own.match(/^(.+?)((?: ?\(\d{1,4}\))?\.[^. ]{1,16})$/s) ?? [, own, ''];
	el.replaceChildren(h('span', {}, stem), end);
}

// 24 x 24, drawn as strokes.
const CIRCLE = 'M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16Z';
const FRAME = 'M5 5h14a1 1 0 0 1 1 1v12a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V6a1 1 0 0 1 1-1Z';
const PATHS = {
	share: 'M12 15V4m0 0L7.5 8.5M12 4l4.5 4.5M4 15v3a2 2 0 0 0 2 2h12a2 2 0 0 0 2-2v-3',
	download: 'M12 4v11m0 0 4.5-4.5M12 15l-4.5-4.5M4 16v2a2 2 0 0 0 2 2h12a2 2 0 0 0 2-2v-2',
	search: 'M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13Zm5-1.5L20 20',
	transfers: 'M8 4v15m0 0-4-4m4 4 4-4M16 20V5m0 0-4 4m4-4 4 4',
	peers:
		'M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7Zm-6 9v-1a5 5 0 0 1 5-5h2a5 5 0 0 1 5 5v1M16 4.3a3.5 3.5 0 0 1 0 6.4M18 14.2a5 5 0 0 1 3 4.6V20',
	settings:
		'M4 7h9m4 0h3M4 17h3m4 0h9M15 9.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5ZM9 19.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5Z',
	pause: 'M9 6v12M15 6v12',
	play: 'M8 5.5v13l10.5-6.5Z',
	close: 'M6 6l12 12M18 6 6 18',
	check: 'M5 12.5 10 17l9-10',
	retry: 'M19.5 12a7.5 7.5 0 1 1-2.2-5.3L20 9.4M20 4.5v5h-5',
	plus: 'M12 5v14M5 12h14',
	more: 'M5 12h.01M12 12h.01M19 12h.01',
	trash: 'M4 7h16M9.5 7V4.5h5V7M6.5 7l.8 12.5h9.4L17.5 7M10 11v5M14 11v5',
	edit: 'M5 19l.8-3.8L16 5a2 2 0 0 1 3 3L8.8 18.2 5 19Z',
	link: 'M10 14a4 4 0 0 0 5.7 0l3-3a4 4 0 0 0-5.7-5.7l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3a4 4 0 0 0 5.7 5.7l1-1',
	lock: 'M6.5 11h11a1 1 0 0 1 1 1v7a1 1 0 0 1-1 1h-11a1 1 0 0 1-1-1v-7a1 1 0 0 1 1-1ZM8.5 11V8a3.5 3.5 0 0 1 7 0v3',
	grid: 'M4.5 4.5h6v6h-6ZM13.5 4.5h6v6h-6ZM4.5 13.5h6v6h-6ZM13.5 13.5h6v6h-6Z',
	copy: 'M9 9h10v11H9ZM5 15V4h10',
	device: 'M8 3h8a1 1 0 0 1 1 1v16a1 1 0 0 1-1 1H8a1 1 0 0 1-1-1V4a1 1 0 0 1 1-1Zm3 15h2',
	finger: 'M7 18c1-2 1-4 1-6a4 4 0 0 1 8 0c0 2 0 4-1 7M12 12c0 3 0 5-1.5 8M5 14c.5-1 .5-2 .5-3M6.5 7.5a7 7 0 0 1 12.5 4.5c0 1.5 0 2.5-.2 4',
	laptop: 'M5 16V6.5A1.5 1.5 0 0 1 6.5 5h11A1.5 1.5 0 0 1 19 6.5V16M3 19h18',
	desktop: 'M4 5h16v11H4ZM9 20h6M12 16v4',
	shield: 'M12 3.5 5 6v5.5c0 4 2.8 7.3 7 9 4.2-1.7 7-5 7-9V6ZM9 12l2.2 2.2L15.2 10',
	alert: 'M12 4 3 20h18ZM12 10v4.5M12 17.3v.01',
	block: `${CIRCLE}M6.5 6.5l11 11`,
	info: `${CIRCLE}m0-9v5M12 8v.01`,
	chevron: 'M7 10l5 5 5-5',
	palette: `${FRAME}m2.5 4.5 3 2.5-3 2.5M12 15h4`,
	keyboard:
		'M4 6.5h16a1 1 0 0 1 1 1v9a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1v-9a1 1 0 0 1 1-1ZM7 10h.01M10.3 10h.01M13.7 10h.01M17 10h.01M8.5 14h7',
	folder: 'M4 18V6.5A1.5 1.5 0 0 1 5.5 5H9l2 2.5h7.5A1.5 1.5 0 0 1 20 9v9a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1Z',
	clock: `${CIRCLE}m0-12.5V12l3 2`,
	file: 'M7 3.5h6.5L18 8v11.5a1 1 0 0 1-1 1H7a1 1 0 0 1-1-1v-15a1 1 0 0 1 1-1ZM13 4v4.5h4.5',
	text: 'M7 3.5h10a1 1 0 0 1 1 1v15a1 1 0 0 1-1 1H7a1 1 0 0 1-1-1v-15a1 1 0 0 1 1-1ZM9 8.5h6M9 12h6M9 15.5h3.5',
	image: `${FRAME}m-1 11 4.5-4.5 4 4 2.5-2.5 5 5M15 9.5v.01`,
	video: `${FRAME}m5 4v6l5-3Z`,
	audio:
		'M9 18V6l10-2v12M9 18a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0Zm10-2a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0Z',
	archive: 'M4 4.5h16V9H4ZM5.5 9v9.5a1 1 0 0 0 1 1h11a1 1 0 0 0 1-1V9M10 13h4',
	code: 'M9 8l-4.5 4L9 16M15 8l4.5 4L15 16',
};

export function icon(name) {
	const svg = document.createElementNS(SVG, 'svg');
	const path = document.createElementNS(SVG, 'path');
	path.setAttribute('d', PATHS[name]);
	svg.setAttribute('viewBox', '0 0 24 24');
	svg.setAttribute('aria-hidden', 'true');
	svg.setAttribute('class', 'icon');
	svg.append(path);
	return svg;
}

export function setIcon(holder, name) {
	if (holder.dataset.icon === name) return;
	holder.dataset.icon = name;
	holder.replaceChildren(icon(name));
}

const KINDS = {
	image: 'png jpg jpeg gif webp svg avif heic heif bmp tiff raw psd',
	video: 'mp4 mkv webm mov avi m4v mpg mpeg',
	audio: 'mp3 flac ogg opus wav m4a aac',
	archive: 'zip tar gz tgz xz zst bz2 7z rar iso img deb rpm dmg',
	text: 'pdf txt md doc docx odt rtf epub csv xls xlsx ods ppt pptx odp tex',
	code: 'c h cpp rs go py js ts java sh html css json yaml yml toml sql xml',
};
const KIND_OF = new Map(Object.entries(KINDS).flatMap(([kind, list]) => list.split(' ').map((ext) => [ext, kind])));

export const kindOf = (name) => KIND_OF.get(String(name).split('.').pop().toLowerCase()) ?? 'file';

export function fileIcon(name) {
	const el = h('span', { class: 'kind', 'aria-hidden': 'true' });
	setFileIcon(el, name);
	return el;
}

export function setFileIcon(el, name) {
	const kind = kindOf(name);
	el.dataset.kind = kind;
	setIcon(el, kind);
}

/** What opens the thing that a row shows. */
export const opener = (name, onclick) => h('button', { type: 'button', class: 'open', onclick }, name);

export const hintLine = (...kids) => h('p', { class: 'hint' }, ...kids);
export const metaText = (...kids) => h('span', { class: 'meta' }, ...kids);
export const growBox = (...kids) => h('div', { class: 'grow' }, ...kids);
export const grow = (...kids) => h('span', { class: 'grow' }, ...kids);
export const para = (...kids) => h('p', {}, ...kids);
export const item = (...kids) => h('li', { class: 'source' }, ...kids);

/** A button with an icon and a label; `bare`: the label is for screen readers only. */
export function button(label, { icon: name, kind = '', onclick, bare = false, ...rest } = {}) {
	const props = { type: 'button', class: `btn ${kind} ${bare ? 'bare' : ''}`.trim(), onclick, ...rest };
	if (bare) Object.assign(props, { 'aria-label': label, title: label });
	return h('button', props, name && h('span', { class: 'ic' }, icon(name)), bare ? null : h('span', {}, label));
}
