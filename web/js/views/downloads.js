import { loadDownloads } from '../data.js';
import { h, hintLine, para, visible } from '../dom.js';
import { awayNotices, goTo, manyActions, openFile, openNamed, removeFile, saveAction, searchButton } from '../files.js';
import { ago, bytes } from '../format.js';
import { t } from '../i18n.js';
import { Shelf } from '../shelf.js';
import { on, state } from '../store.js';
import { attempt, command, dialog, empty, loadingText, viewHead } from '../ui.js';

const EVERY_MS = 5000;
const POLLED = 500; // longer lists are read again only when an event says so

const checksum = (file) =>
	dialog({
		title: visible(file.name),
		body: [
			para(t('sha.text')),
			command(file.sha256),
			hintLine(t('sha.check')),
			command(`sha256sum 'downloads/${file.name.replaceAll("'", "'\\''")}'`),
		],
	});

const paths = { del: 'download', restore: 'downloads', load: loadDownloads };

export function downloadsView() {
	const head = viewHead(t('downloads'));
	const many = manyActions('downloads', () => state.downloads.files, paths);
	const remove = (entries) => (entries.length === 1 && !entries[0].folder ? removeFile(entries[0], paths) : many.remove(entries));
	const shelf = new Shelf({
		of: 'downloads',
		label: t('downloads'),
		root: t('nav.downloads'),
		go: goTo('downloads'),
		open: (file, list) => openFile('downloads', file.name, list),
		actions: (one) =>
			one.folder
				? many.folder(one)
				: [
						saveAction('downloads', () => one.name),
						...(one.sha256 ? [{ id: 'sha', icon: 'shield', label: t('sha'), run: () => checksum(one) }] : []),
						{ id: 'delete', icon: 'trash', label: t('delete'), danger: true, run: () => removeFile(one, paths) },
					],
		chosen: many.chosen,
		remove,
		describe: (f) => [bytes(f.size), ago(f.mtime)].join(' · '),
	});
	shelf.sort.value = 'date';
	const nothing = empty('download', t('dl.empty'), t('dl.empty.text'), searchButton());
	const notices = h('div', { class: 'notices' });
	const card = h('section', { class: 'card', 'aria-label': t('downloads') }, shelf.el, nothing);
	const el = h('div', { class: 'view' }, head.el, notices, card);
	const render = (fresh = false) => {
		const { files, loaded } = state.downloads;
		head.say(
			loaded
				? `${t('n.files', { n: files.length })} · ${bytes(files.reduce((sum, f) => sum + f.size, 0))}`
				: loadingText(),
		);
		card.hidden = !loaded;
		shelf.set(files, { fresh, loaded });
		nothing.hidden = !loaded || files.length > 0;
	};
	on('downloads connection', () => render());
	on('status', () => notices.replaceChildren(...awayNotices('downloads')));
	render();
	return {
		el,
		show: () => {
			render(true);
			return attempt(loadDownloads);
		},
		open: async (query) => {
			shelf.show(query.get('at') ?? '');
			if (!query.get('open')) return;
			if (!state.downloads.loaded) await attempt(loadDownloads);
			openNamed('downloads', query.get('open'), state.downloads.files);
		},
		every: EVERY_MS,
		tick: () => state.downloads.files.length <= POLLED && loadDownloads().catch(() => {}),
	};
}
