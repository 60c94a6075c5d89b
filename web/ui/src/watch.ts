// Watch and embed pages.
import './pod-player.ts';
import './swarm-panel.ts';
