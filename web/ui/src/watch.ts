// Watch and embed pages.
import './comments.ts';
import './pod-player.ts';
import './rating-form.ts';
import './swarm-panel.ts';
