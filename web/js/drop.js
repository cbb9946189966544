// Files and folders that are dropped on the page or pasted.
import { h, icon, para } from './dom.js';
import { t } from './i18n.js';
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

async function dropped(transfer) {
	// Read before the first await: later the event is empty.
	const entries = [...transfer.items]
		.map((item) => item.kind === 'file' && item.webkitGetAsEntry?.())
		.filter(Boolean);
	if (entries.length === 0) return [...transfer.files].map((file) => ({ file, path: '' }));
	const found = [];
	for (const entry of entries) await walk(entry, '', found);
	return found;
}

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
		overlay.hidden = !on;
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
			const files = [...(e.clipboardData?.files ?? [])];
			if (files.length === 0) return;
			e.preventDefault();
			take(files.map((file) => ({ file, path: '' })));
		},
	};
	for (const [name, f] of Object.entries(handlers)) document.addEventListener(name, f);
	return {
		el: overlay,
		stop: () => Object.entries(handlers).forEach(([name, f]) => document.removeEventListener(name, f)),
	};
}
