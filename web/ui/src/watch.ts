// Watch and embed pages.
import './comments.ts';
import './copy-form.ts';
import './pod-player.ts';
import './rating-form.ts';
import './swarm-panel.ts';
