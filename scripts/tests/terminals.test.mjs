// Programs that fill a terminal, in Chromium: tmux draws them, types at them, and tells what it sees.
import { prints } from "./software.mjs";

/** A terminal of 80 by 24 with a shell; `type` sends keys, `shows` waits for a text and prints the lines with it. */
const TERMINAL = `
  tmux new-session -d -x 80 -y 24 -s t 'bash --norc'
  screen_has() { tmux capture-pane -t t -p | grep -q -- "$1"; }
  type() { tmux send-keys -t t "$@"; }
  shows() { until_it screen_has "$1"; tmux capture-pane -t t -p | grep -- "$1" | sed 's/ *$//'; }
  shows 'bash-' >/dev/null
`;

const draws = (name, script, expected) => prints(name, TERMINAL + script + "\ntmux kill-server\n", expected);

draws("tmux has panes and windows of a terminal each", `
  type 'echo $((6 * 7)) äöü; tput cols; tput lines' Enter; shows '^42'
  tmux split-window -t t bash --norc; tmux list-panes -t t | cut -d ' ' -f 1,2
  tmux new-window -t t bash --norc; tmux list-windows -t t | wc -l
  tmux resize-window -t t -x 100 -y 30; sleep 0.5; type 'stty size' Enter; shows '^[0-9]* 100'`,
  "42 äöü\n0: [80x12]\n1: [80x11]\n2\n30 100\n");

draws("vi edits a file", `
  type 'vi text' Enter; shows '^~' >/dev/null
  type 'ihello' Enter 'wörld' Escape 'ggx:wq' Enter
  until_it test -s text; cat text`, "ello\nwörld\n");

draws("nano edits a file", `
  type 'nano text' Enter; shows 'Exit' >/dev/null
  type 'nano was here' C-o; shows 'File Name' >/dev/null; type Enter; shows 'Wrote' >/dev/null; type C-x
  cat text`, "nano was here\n");

draws("less shows a page, searches and goes to the end", `
  seq 1000 > numbers; type 'less numbers' Enter; shows '^numbers'
  type '/77' Enter; shows '^77$'; type G; shows '^1000$'; type q; until_it screen_has 'bash-.*$'`, "numbers\n77\n1000\n");

draws("htop lists processes", `
  sleep 1000 & type htop Enter; shows 'F10Quit' >/dev/null; shows 'sleep 1000' | grep -o 'sleep 1000'
  shows 'Tasks:' | grep -o 'Tasks: [0-9]*' | sed 's/[0-9].*/some/'; type q; kill %1`, "sleep 1000\nTasks: some\n");

draws("mc shows two directories and goes into one", `
  mkdir -p here/below; touch here/below/found; type 'mc here /usr' Enter; shows '10Quit' >/dev/null
  shows '/below' | grep -o /below; type Down Enter; shows found | grep -o found; type F10`, "/below\nfound\n");

draws("dialog asks, and is answered", `
  type "dialog --yesno 'Is it?' 7 30; echo answer \\$?" Enter; shows '< Yes >' | grep -o 'Yes'
  type Right Enter; shows 'answer [01]' | grep -o 'answer [01]'`, "Yes\nanswer 1\n");

draws("screen detaches and comes back", `
  type 'screen -S s bash --norc' Enter; sleep 1; type 'echo in $TERM' Enter; shows '^in '
  type C-a d; shows detached | sed 's/[0-9]*\\.s/NAME/'; type 'clear; screen -r s' Enter; shows '^in '
  type 'exit' Enter; shows terminating`, "in screen\n[detached from NAME]\nin screen\n[screen is terminating]\n");
