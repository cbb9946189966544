// Links for people without a device of their own here: the part of the Send sheet, and the list. Loaded with it.
import { api, get, post } from './api.js';
import { loadActivity } from './data.js';
import { takenNow } from './dock.js';
import { button, growBox, h, hintLine, metaText, para, visible } from './dom.js';
import { speed } from './format.js';
import { lang, t } from './i18n.js';
import { on } from './store.js';
import { attempt, command, dialog, toast } from './ui.js';

const HOUR_S = 3600;
const SPANS = [['hour', HOUR_S], ['day', 24 * HOUR_S], ['week', 7 * 24 * HOUR_S]];
const USES = [1, 5, 20];
const REFRESH_MS = 5000;

const choice = (id, options, value) =>
	h('select', { id }, options.map(([v, label]) => h('option', { value: v, selected: v === value }, label)));
const field = (id, label, input) => h('div', {}, h('label', { for: id }, label), input);
const until = (time) => new Intl.DateTimeFormat(lang, { dateStyle: 'medium', timeStyle: 'short' }).format(time * 1000);
const titleOf = (link) => visible(link.title || link.folder || link.files.map((name) => name.replace(/\/$/, '').split('/').pop()).join(', '));

/** The link that was made: the only time that it is seen. */
function made(answer) {
	const words = [
		hintLine(t('slink.once')),
		command(answer.url),
		answer.qr && h('img', { class: 'qr', alt: t('slink.qr'), width: 200, height: 200, src: `data:image/svg+xml,${encodeURIComponent(answer.qr)}` }),
		navigator.share && button(t('slink.share'), { icon: 'share', onclick: () => navigator.share({ url: answer.url }).catch(() => {}) }),
		hintLine(t('slink.terminal')),
		command(`p2p receive '${answer.url}'`),
	];
	return words.filter(Boolean);
}

function linkRow(link, end) {
	const speeds = takenNow().filter((one) => one.peer_id_full === link.guest).map((one) => one.speed);
	const facts = [
		t('slink.until', { time: until(link.expires) }),
		link.uses_left !== null && t('slink.left', { count: link.uses_left }),
		link.has_pin && t('slink.locked'),
		speeds.length > 0 && t('slink.now', { speed: speed(speeds.reduce((a, b) => a + b, 0)) }),
	].filter(Boolean);
	const name = titleOf(link);
	const stop = button(t('slink.end', { name }), { icon: 'trash', bare: true, onclick: end });
	return h('li', { class: 'row' }, h('div', { class: 'row-main' }, growBox(h('bdi', { class: 'name' }, name), metaText(facts.join(' · '))), stop));
}

/** The list of all links, which follows what their guests do while it is on the page. */
function linkList() {
	const list = h('ul', {});
	const el = h('section', { class: 'links', hidden: true }, h('h3', {}, t('slink.list')), list);
	let links = [];
	const draw = () => {
		el.hidden = links.length === 0;
		list.replaceChildren(...links.map((link) => linkRow(link, () => end(link))));
	};
	const show = (answer) => {
		links = answer.links;
		draw();
	};
	const end = (link) =>
		attempt(async () => {
			show(await api('DELETE', `links/${link.id}`));
			toast(t('slink.ended'), { kind: 'ok' });
		});
	const off = on('activity', draw);
	const load = async () => show(await get('links'));
	const follow = setInterval(() => {
		if (el.isConnected) return attempt(() => Promise.all([load(), loadActivity()]));
		clearInterval(follow);
		return off?.();
	}, REFRESH_MS);
	attempt(load);
	return { el, show };
}

/** All links, each with a button that ends it. */
export async function showLinks() {
	const list = linkList();
	await dialog({ title: t('slink.list'), body: [list.el, hintLine(t('slink.text'))] });
}

/** The part of the Send sheet that makes a link to these shared files. */
export function linkPart(files) {
	const span = choice('slink-for', SPANS.map(([key, s]) => [s, t(`slink.${key}`)]), SPANS[1][1]);
	const uses = choice('slink-uses', [['', t('slink.any')], ...USES.map((n) => [n, String(n)])], '');
	const pin = h('input', { type: 'text', id: 'slink-pin', maxlength: 64, autocomplete: 'off', spellcheck: 'false' });
	const list = linkList();
	const result = h('div', { class: 'link-made', role: 'status' });
	const make = () =>
		attempt(async () => {
			const body = { files, expires: Number(span.value), uses: Number(uses.value) || null, pin: pin.value || null };
			const answer = await post('links', body);
			form.hidden = true;
			result.replaceChildren(...made(answer));
			list.show(answer);
			result.scrollIntoView?.({ block: 'nearest' });
		});
	const form = h(
		'div',
		{ class: 'link-form' },
		field('slink-for', t('slink.for'), span),
		field('slink-uses', t('slink.uses'), uses),
		field('slink-pin', t('slink.pin'), pin),
		button(t('slink.make'), { kind: 'primary', onclick: make }),
	);
	return h('section', { class: 'links' }, h('h3', {}, t('slink.title')), para(t('slink.text')), form, result, list.el);
}
