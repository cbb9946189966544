// Plays a file while it is being downloaded. Loaded with the first one.
import { fileIcon, h, hintLine, para, visible } from './dom.js';
import { t } from './i18n.js';
import { state } from './store.js';
import { RUNNING } from './transfers.js';
import { dialog } from './ui.js';

const TRIES = 5;
const PAUSE_MS = 1000;

const none = (name, text) => h('div', { class: 'view-none' }, fileIcon(name), para(text));

/** An answer that waited too long is asked for again, at the same place. */
function player(one, type, give) {
	const url = `api/transfers/${one.id}/content`;
	const media = h(type.startsWith('audio/') ? 'audio' : 'video', { src: url, controls: true, autoplay: true, playsinline: true });
	let tries = 0;
	media.addEventListener('playing', () => {
		tries = 0;
	});
	media.addEventListener('error', () => {
		const now = state.transfers.byId.get(one.id)?.state;
		const goesOn = media.error?.code === MediaError.MEDIA_ERR_NETWORK && (RUNNING.has(now) || now === 'completed');
		tries += 1;
		if (!goesOn || tries > TRIES) return give(none(one.filename, t(now === 'paused' ? 'watch.paused' : 'view.none')));
		const at = media.currentTime;
		return setTimeout(() => {
			media.addEventListener('loadedmetadata', () => Object.assign(media, { currentTime: at }), { once: true });
			media.load();
		}, PAUSE_MS);
	});
	return media;
}

export async function watch(one) {
	const stage = h('div', { class: 'stage' }, hintLine(t('watch.wait')));
	let open = true;
	const give = (...kids) => open && stage.replaceChildren(...kids);
	const done = dialog({
		title: h('bdi', { dir: 'auto' }, visible(one.filename.split('/').pop())),
		className: 'viewer',
		body: [stage, hintLine(t('watch.text'))],
	});
	fetch(`api/transfers/${one.id}/content`, { method: 'HEAD' })
		.then((answer) => {
			const type = answer.headers.get('Content-Type') ?? '';
			if (!answer.ok) return give(none(one.filename, t(answer.status === 503 ? 'watch.nobody' : 'watch.paused')));
			if (!/^(audio|video)\//.test(type)) return give(none(one.filename, t('view.none')));
			return give(...(type.startsWith('audio/') ? [fileIcon(one.filename)] : []), player(one, type, give));
		})
		.catch(() => give(none(one.filename, t('err.offline'))));
	await done;
	open = false;
	stage.querySelector('audio, video')?.removeAttribute('src'); // ends the request
	stage.replaceChildren();
}
