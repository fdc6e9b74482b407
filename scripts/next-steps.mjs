/** What somebody can do who has seen that it works: lines to type in the checkout, and where to read on. */
export function nextSteps() {
  return `    node dist/cli/main.js run -- uname -a    # a command in a fresh machine, from the shell
    node dist/cli/main.js run -it            # a shell of your own in one
    npm run example files                    # another program of examples/; docs/README.md says where to read on
`;
}
