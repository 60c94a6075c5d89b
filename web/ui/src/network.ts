// Network page.
import './friends-live.ts';
