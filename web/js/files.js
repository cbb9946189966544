// Shared by the lists of shared and downloaded files.
import { api, encodeName, post, there } from './api.js';
import { button, h, para, setText, visible } from './dom.js';
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

const askPlainly = async (file) =>
	(await confirm(t('delete.title', { name: visible(file.name) }), t('delete.text'), t('delete'))) && 'keep';

/** `del`, `restore`: API paths before the name; `ask`: gives 'keep', 'now' (no undo) or nothing. */
export async function removeFile(file, { del, restore, load, ask = askPlainly }) {
	const name = visible(file.name);
	const how = await ask(file);
	if (!how) return;
	await attempt(async () => {
		const answer = await api('DELETE', `${del}/${encodeName(file.name)}`);
		if (how === 'now') {
			await api('DELETE', `versions/${encodeURIComponent(file.name)}`);
			answer.restore_until = null;
		}
		await load();
		toast(
			t('deleted', { name }),
			answer.restore_until ? { undo: true, action: undo(`${restore}/${encodeURIComponent(file.name)}/restore`, {}, load) } : {},
		);
	});
}

/** Through a link, which does not leave the page, after a check that the file is there. */
export const saveFrom = (path, name) =>
	attempt(async () => {
		await there(path);
		const link = h('a', { href: `api/${path}`, download: name, hidden: true });
		document.body.append(link);
		link.click();
		link.remove();
	});

export const save = (folder, name) => saveFrom(`${folder}/${encodeName(name)}`, name.split('/').pop());

export const saveAction = (folder, name) => ({
	id: 'save',
	icon: 'download',
	label: t('save'),
	run: () => save(folder, name()),
});

/** Opens a file in the page, or a PDF in a tab of its own. `list`: the files around it. */
export const openFile = (folder, name, list) =>
	attempt(async () => {
		if (/\.pdf$/i.test(name)) open(`api/${folder}/${encodeName(name)}?view=1`, '_blank', 'noopener');
		else await (await import('./viewer.js')).showFile(folder, list.map((f) => f.name), name);
	});

const view = (folder, list, name) => attempt(async () => (await import('./viewer.js')).showFile(folder, list.includes(name) ? list : [name], name));

/** The file that the address names; `list`: all of its place. Says so if it is not there. */
export function openNamed(folder, name, files) {
	if (!name || document.querySelector('dialog.viewer')) return;
	if (!files.some((f) => f.name === name)) {
		toast(t('link.gone', { name: visible(name) }), { kind: 'error' });
		return;
	}
	const at = name.split('/').slice(0, -1).join('/');
	view(folder, files.map((f) => f.name).filter((other) => other.split('/').slice(0, -1).join('/') === at), name);
}

/** The rule that decides who may see this shared folder: that of the longest folder. */
export const ruleOf = (folder) =>
	state.grants
		.filter((g) => g.folder === '/' || `${folder}/`.startsWith(g.folder))
		.sort((a, b) => b.folder.length - a.folder.length)[0];

const many = () => import('./many.js');

/** What can be done with a selection, or a folder, of one's own files. `files`: all of that place. */
export const manyActions = (of, files, paths) => {
	const remove = (entries) => attempt(async () => (await many()).removeMany(entries, files(), paths));
	const keep = (zip) => (entries) => attempt(async () => (await many()).saveMany(of, entries, zip));
	const pathOf = (one) => (one.folder ? `${one.name}/` : one.name);
	const send = (entries) => attempt(async () => (await import('./send.js')).sendTo(entries.map(pathOf)));
	const chosen = [
		{ icon: 'share', label: t('send'), run: send, when: () => of === 'shared' },
		{ icon: 'download', label: t('save'), run: keep(false), when: (entries) => entries.length === 1 && !entries[0].folder },
		{ icon: 'archive', label: t('save.zip'), run: keep(true) },
		{ icon: 'trash', label: t('delete'), danger: true, run: remove },
	];
	const folder = (one) => [
		{ id: 'zip', icon: 'archive', label: t('save.folder', { name: visible(one.name.split('/').pop()) }), run: () => keep(true)([one]) },
		{ id: 'delete', icon: 'trash', label: t('delete'), danger: true, run: () => remove([one]) },
	];
	return { remove, chosen, folder, send };
};

/** A folder of a view: its address names it, so that Back leaves it. */
export const goTo = (view) => (at) => {
	location.hash = at ? `#/${view}?${new URLSearchParams({ at })}` : `#/${view}`;
};

export const filterInput = (oninput) =>
	h('input', { type: 'search', placeholder: t('filter'), 'aria-label': t('filter'), oninput });

/** The items whose name contains all words of the filter, in any order. */
export function matching(files, filter) {
	const words = filter.value.trim().toLowerCase().split(/\s+/);
	return files.filter((f) => words.every((word) => f.name.toLowerCase().includes(word)));
}

/** Says so when the filter hides every file. */
export function noMatch() {
	const el = h('p', { class: 'hint center', hidden: true });
	const say = (shown, count, filter) => {
		el.hidden = shown > 0 || count === 0;
		setText(el, t('filter.none', { q: visible(filter.value.trim()) }));
	};
	return { el, say };
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

const awayOf = (path, name, missing) =>
	notice(
		t('away'),
		para(t('away.text', { path })),
		missing > 0 &&
			button(t('away.confirm'), {
				onclick: () => attempt(() => post(`shares/confirm?folder=${encodeURIComponent(name ?? '')}`)),
			}),
	);

/** Notices for missing folders. */
export const awayNotices = (folder) => {
	const s = state.status ?? {};
	if (folder === 'shared') {
		return (s.shared_folders ?? []).flatMap((f) =>
			f.state === 'away'
				? [awayOf(f.path, f.name, f.missing_files)]
				: (f.away_disks ?? []).map((d) => awayOf(`${f.path}/${d.place}`, f.name, d.files)),
		);
	}
	return s[`${folder}_state`] === 'away' ? [awayOf(s[`${folder}_dir`])] : [];
};
