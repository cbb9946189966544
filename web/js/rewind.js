// Makes a shared folder what it was at a time: loaded when it is asked for.
import { post } from './api.js';
import { loadShared } from './data.js';
import { h, hintLine, item, metaText, para, visible } from './dom.js';
import { lang, t } from './i18n.js';
import { attempt, dialog, toast } from './ui.js';

const moment = (time) => new Intl.DateTimeFormat(lang, { dateStyle: 'medium', timeStyle: 'short' }).format(time * 1000);
const SHOWN = 10;

/** For <input type=datetime-local>, in local time. */
function local(time) {
	const date = new Date(time * 1000);
	return new Date(date.getTime() - date.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
}

/** What would change, in numbers and the first names. */
function preview(folder, at, { restored, not_kept: lost, files }) {
	const rows = files.slice(0, SHOWN).map((f) => item(h('bdi', {}, visible(f.name)), f.kept ? '' : metaText(t('hist.gone'))));
	return dialog({
		title: t('rew.of', { name: visible(folder), time: moment(at) }),
		body: [
			para(restored ? t('rew.n', { n: restored }) : t('rew.none')),
			lost ? hintLine(t('rew.lost', { n: lost })) : '',
			rows.length ? h('ul', { class: 'sources' }, rows) : '',
			files.length > SHOWN ? hintLine(t('rew.more', { n: files.length - SHOWN })) : '',
			hintLine(t('rew.text')),
		],
		actions: restored ? [{ label: t('cancel'), value: null }, { label: t('rew.go'), value: 'yes', main: true }] : [],
	});
}

async function run(folder, at) {
	const { restored, undo_at } = await post('rewind', { folder, at, dry_run: false });
	await loadShared();
	toast(t('rew.done', { n: restored }), {
		kind: 'ok',
		undo: true,
		action: {
			label: t('undo'),
			run: () => attempt(async () => {
				await post('rewind', { folder, at: undo_at, dry_run: false });
				await loadShared();
			}),
		},
	});
}

export const goBack = (folder) =>
	attempt(async () => {
		const now = Math.floor(Date.now() / 1000);
		const input = h('input', {
			type: 'datetime-local',
			id: 'rewind-at',
			value: local(now - 86400),
			max: local(now),
			required: true,
			autofocus: true,
		});
		let plan = null;
		let at = 0;
		const chosen = await dialog({
			title: t('rew'),
			body: [h('label', { for: 'rewind-at' }, t('rew.when')), input],
			actions: [{ label: t('cancel'), value: null }, { label: t('show'), value: 'yes', main: true }],
			submit: async () => {
				at = Math.floor(new Date(input.value).getTime() / 1000);
				plan = await post('rewind', { folder, at, dry_run: true });
			},
		});
		if (chosen && (await preview(folder, at, plan))) await run(folder, at);
	});
