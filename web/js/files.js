// Shared by the lists of shared and downloaded files.
import { api, encodeName, post } from './api.js';
import { button, h, para, visible } from './dom.js';
import { t } from './i18n.js';
import { state } from './store.js';
import { attempt, badge, confirm, toast } from './ui.js';

export const undo = (path, body, load) => ({
	label: t('undo'),
	run: () =>
		attempt(async () => {
			await post(path, body);
			await load();
		}),
});

/** `del`, `restore`: API paths before the name. */
export async function removeFile(file, { del, restore, load }) {
	const name = visible(file.name);
	if (!(await confirm(t('delete.title', { name }), t('delete.text'), t('delete')))) return;
	await attempt(async () => {
		const answer = await api('DELETE', `${del}/${encodeName(file.name)}`);
		await load();
		toast(
			t('deleted', { name }),
			answer.restore_until ? { action: undo(`${restore}/${encodeName(file.name)}/restore`, {}, load) } : {},
		);
	});
}

export const saveAction = (folder, name) => ({
	id: 'save',
	icon: 'download',
	label: t('save'),
	run: () => {
		location.assign(`api/${folder}/${encodeName(name())}`);
	},
});

export const filterInput = (oninput) =>
	h('input', { type: 'search', placeholder: t('filter'), 'aria-label': t('filter'), oninput });

/** The items whose name contains the filter's text. */
export function matching(files, filter) {
	const wanted = filter.value.trim().toLowerCase();
	return files.filter((f) => f.name.toLowerCase().includes(wanted));
}

export const searchButton = () =>
	button(t('search'), {
		icon: 'search',
		kind: 'primary',
		onclick: () => {
			location.hash = '#/search';
		},
	});

export const notice = (title, ...rest) =>
	h('div', { class: 'notice warn' }, badge('warn', title, 'alert'), rest);

/** A notice for a missing folder, or nothing. */
export const awayNotice = (folder) => {
	const s = state.status ?? {};
	if (s[`${folder}_state`] !== 'away') return '';
	const confirmed = () => attempt(() => post('shares/confirm'));
	return notice(
		t('away'),
		para(t('away.text', { path: s[`${folder}_dir`] })),
		folder === 'shared' && s.shared_missing_files > 0 && button(t('away.confirm'), { onclick: confirmed }),
	);
};
