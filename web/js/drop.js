// Files and folders that are dropped on the page or pasted.
import { h, icon, para } from './dom.js';
import { t } from './i18n.js';
import { state } from './store.js';
import { toast } from './ui.js';
import { addUploads } from './upload.js';

const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes('Files');

/** All files of a dropped entry, with their folders. */
async function walk(entry, path, found) {
	if (entry.isFile) {
		found.push({ file: await new Promise((resolve, reject) => entry.file(resolve, reject)), path });
		return;
	}
	const reader = entry.createReader();
	const below = path ? `${path}/${entry.name}` : entry.name;
	for (;;) {
		const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
		if (some.length === 0) return;
		for (const one of some) await walk(one, below, found);
	}
}

export async function dropped(transfer) {
	// Read before the first await: later the event is empty.
	const entries = [...transfer.items]
		.map((item) => item.kind === 'file' && item.webkitGetAsEntry?.())
		.filter(Boolean);
	if (entries.length === 0) return [...transfer.files].map((file) => ({ file, path: '' }));
	const found = [];
	for (const entry of entries) await walk(entry, '', found);
	return found;
}

/** Such as "Pasted 2026-11-27 14.05.09": every picture of the clipboard is called image.png. */
function pastedName(ending) {
	const now = new Date(Date.now() - new Date().getTimezoneOffset() * 60000);
	return `${t('pasted')} ${now.toISOString().slice(0, 19).replace('T', ' ').replaceAll(':', '.')}${ending}`;
}

const named = (file) =>
	file.name === 'image.png' ? new File([file], pastedName('.png'), { type: file.type }) : file;

/** A text as a file, named by the time. */
export const textFile = (text) => new File([text], pastedName('.txt'), { type: 'text/plain' });

const offerText = (text, share) =>
	toast(t('paste.text'), {
		action: {
			label: t('paste.share'),
			run: () => share(textFile(text)),
		},
	});

export const fromInput = (input) =>
	[...input.files].map((file) => ({
		file,
		path: (file.webkitRelativePath ?? '').split('/').slice(0, -1).join('/'),
	}));

export function dropTarget(onFiles) {
	const overlay = h(
		'div',
		{ class: 'drop-overlay', hidden: true, 'aria-hidden': 'true' },
		h('div', {}, icon('share'), para(t('drop.now'))),
	);
	let depth = 0;
	const show = (on) => {
		overlay.hidden = !on || state.view === 'peers'; // the faces are seen there
	};
	const take = async (files) => {
		onFiles();
		addUploads(await files);
	};
	const handlers = {
		dragenter(e) {
			if (hasFiles(e)) {
				e.preventDefault();
				depth += 1;
				show(true);
			}
		},
		dragover(e) {
			if (hasFiles(e)) {
				e.preventDefault();
				e.dataTransfer.dropEffect = 'copy';
			}
		},
		dragleave(e) {
			if (hasFiles(e)) {
				depth = Math.max(0, depth - 1);
				show(depth > 0);
			}
		},
		drop(e) {
			if (!hasFiles(e)) return;
			e.preventDefault();
			depth = 0;
			show(false);
			take(dropped(e.dataTransfer));
		},
		paste(e) {
			if (e.target.closest?.('input, textarea')) return;
			const files = [...(e.clipboardData?.files ?? [])].map(named);
			const text = e.clipboardData?.getData('text/plain') ?? '';
			if (files.length) {
				e.preventDefault();
				take(files.map((file) => ({ file, path: '' })));
			} else if (text.trim()) offerText(text, (file) => take([{ file, path: '' }]));
		},
	};
	for (const [name, f] of Object.entries(handlers)) document.addEventListener(name, f);
	return {
		el: overlay,
		stop: () => Object.entries(handlers).forEach(([name, f]) => document.removeEventListener(name, f)),
	};
}
