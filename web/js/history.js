// Old versions of a shared file, and deleted files: loaded when they are asked for.
import { api, get, post } from './api.js';
import { loadShared } from './data.js';
import { button, grow, h, hintLine, item, metaText, para, visible } from './dom.js';
import { bytes } from './format.js';
import { lang, t } from './i18n.js';
import { attempt, confirm, dialog, toast } from './ui.js';

const PAGE = 100;
const moment = (time) =>
	new Intl.DateTimeFormat(lang, { dateStyle: 'medium', timeStyle: 'short' }).format(time * 1000);
const at = (name) => `versions/${encodeURIComponent(name)}`;

async function restore(name, version, body = {}) {
	await post(`${at(name)}/restore`, { version: version.version, ...body });
	await loadShared();
	toast(t('hist.restored', { name: visible(name) }), { kind: 'ok' });
}

/** Through a link, which does not leave the page. */
function saveVersion(name, v) {
	const link = h('a', { href: `api/${at(name)}/${v.version}`, download: name.split('/').pop(), hidden: true });
	document.body.append(link);
	link.click();
	link.remove();
}

const forget = async (name, version) => {
	const sure = await confirm(t('hist.forget.title'), t('hist.forget.text'), t('hist.forget'));
	if (sure) await attempt(() => api('DELETE', `${at(name)}/${version.version}`));
	return sure;
};

/** One version: when it ended and why, its size, and what can be done with it. */
function versionRow(name, v, done) {
	const when = t(v.end === 'deleted' ? 'hist.deleted' : 'hist.replaced', { time: moment(v.until) });
	const acts = v.kept && [
		button(t('hist.restore'), { onclick: () => attempt(async () => done(await restore(name, v))) }),
		button(t('save'), { icon: 'download', bare: true, onclick: () => saveVersion(name, v) }),
		button(t('hist.forget'), {
			icon: 'trash',
			bare: true,
			kind: 'danger',
			onclick: async () => (await forget(name, v)) && done(),
		}),
	];
	return item(
		grow(h('b', {}, t('hist.version', { number: v.version })), metaText(`${when} · ${bytes(v.size)}`)),
		acts ? h('span', { class: 'hist-acts' }, acts) : metaText(t('hist.gone')),
	);
}

export async function showHistory(name) {
	await attempt(async () => {
		const { current, versions, next } = await get(`${at(name)}?limit=${PAGE}`);
		const rows = (close) => versions.map((v) => versionRow(name, v, () => close('again')));
		await dialog({
			title: t('hist.of', { name: visible(name) }),
			className: 'history',
			body: (close) => [
				current ? para(t('hist.now', { size: bytes(current.size), time: moment(current.mtime) })) : '',
				versions.length ? h('ul', { class: 'sources' }, rows(close)) : para(t('hist.none')),
				next ? hintLine(t('hist.more', { max: PAGE })) : '',
			],
		});
	});
}

/** Deleted files, newest first. */
export async function showDeleted() {
	await attempt(async () => {
		const { files, versions, next } = await get(`deleted?limit=${PAGE}`);
		const row = (f, close) =>
			item(
				grow(
					h('bdi', {}, visible(f.name)),
					metaText(
						[
							t('hist.deleted', { time: moment(f.until) }),
							bytes(f.size),
							f.stays_until ? t('hist.stays', { time: moment(f.stays_until) }) : '',
						]
							.filter(Boolean)
							.join(' · '),
					),
				),
				f.kept
					? h(
							'span',
							{ class: 'hist-acts' },
							button(t('hist.back'), {
								onclick: () => attempt(async () => close(await restore(f.name, f))),
							}),
							button(t('hist.forget'), {
								icon: 'trash',
								bare: true,
								kind: 'danger',
								onclick: async () => (await forget(f.name, f)) && close(),
							}),
						)
					: metaText(t('hist.gone')),
			);
		await dialog({
			title: t('hist.list'),
			className: 'history',
			body: (close) => [
				files.length ? h('ul', { class: 'sources' }, files.map((f) => row(f, close))) : para(t('hist.empty')),
				next ? hintLine(t('hist.more', { max: PAGE })) : '',
				versions.stopped ? para(t('hist.full')) : '',
				hintLine(t('hist.used', { used: bytes(versions.used), space: bytes(versions.space) })),
			],
		});
	});
}

/** Asks before a shared file is deleted. Gives 'keep', 'now' or null. */
export async function askDelete(file) {
	const { on, stopped, space, deleted_after: keeps } = (await get('deleted?limit=1').catch(() => null))?.versions ?? {};
	const kept = on && !stopped && file.size <= space;
	const text = kept
		? t('hist.keeps', { size: bytes(file.size), time: moment(Date.now() / 1000 + keeps) })
		: t('delete.text');
	const now = on !== undefined && { label: t('hist.now.delete'), value: 'now', danger: true };
	return dialog({
		title: t('delete.title', { name: visible(file.name) }),
		body: [para(text), now ? hintLine(t('hist.now.text')) : ''],
		actions: [
			{ label: t('cancel'), value: null },
			now,
			{ label: t('delete'), value: 'keep', main: true },
		].filter(Boolean),
	});
}
