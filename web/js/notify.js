// System notifications; they need a secure page.
import { load, save } from './i18n.js';
import { visible } from './dom.js';

export const possible = () => isSecureContext && 'Notification' in self;
export const denied = () => possible() && Notification.permission === 'denied';
export const wanted = () =>
	possible() && Notification.permission === 'granted' && load('p2p.notify') === 'on';

export async function want(on) {
	if (on && Notification.permission !== 'granted') await Notification.requestPermission();
	save('p2p.notify', on && Notification.permission === 'granted' ? 'on' : null);
	return wanted();
}

export function notify(title, name, id) {
	if (!wanted() || !document.hidden) return;
	const note = new Notification(title, { body: visible(name), tag: id, icon: 'icons/icon-192.png' });
	note.onclick = () => {
		focus();
		location.hash = '#/transfers';
		note.close();
	};
}
