package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// readPassword gives a password: from a file, the environment's variable of that name (or NAME_FILE), a prompt without
// echo, or, without a terminal, the first line of standard input. Never from the command line, which others can read.
// twice asks a person for it twice.
func (a *app) readPassword(ctx context.Context, prompt, file, variable string, twice bool) (string, error) {
	if file != "" {
		return passwordFile(file)
	}
	password, err := passwordOf(variable)
	if password != "" || err != nil {
		return password, err
	}
	if !isTerminal(a.in) {
		password, err := firstLine(a.in)
		if err == nil && password == "" {
			err = usagef("no password was given: without a terminal it comes from --password-file, %s, %s_FILE or a pipe", variable, variable)
		}
		return password, err
	}
	password, err = a.askHidden(ctx, prompt)
	if err != nil || !twice {
		return password, err
	}
	again, err := a.askHidden(ctx, prompt+" again")
	if err == nil && again != password {
		err = errors.New("these are two different passwords")
	}
	return password, err
}

// passwordOfEnvironment is the caller's own password, "" where the environment has none.
func passwordOfEnvironment() (string, error) { return passwordOf("SPI_PASSWORD") }

// passwordOf is that of a variable NAME, or of the file that NAME_FILE names, "" where there is neither.
func passwordOf(variable string) (string, error) {
	if password := os.Getenv(variable); password != "" {
		return password, nil
	}
	if file := os.Getenv(variable + "_FILE"); file != "" {
		return passwordFile(file)
	}
	return "", nil
}

func passwordFile(path string) (string, error) {
	f, err := os.Open(path) //nolint:gosec // the user names the file
	if err != nil {
		return "", fmt.Errorf("the password cannot be read: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	password, err := firstLine(f)
	if err == nil && password == "" {
		err = errors.New("its first line is empty")
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return password, nil
}

func firstLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, 64<<10)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("the password cannot be read: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

// askHidden asks a person for a line that the terminal does not show, not even where it is typed before the question is
// there. Ctrl-C, or a signal, leaves the terminal as it was.
func (a *app) askHidden(ctx context.Context, prompt string) (string, error) {
	fd := int(a.in.Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return "", fmt.Errorf("the terminal cannot be used: %w", err)
	}
	type answer struct {
		text string
		err  error
	}
	answered := make(chan answer, 1)
	go func() { // ends with the program where nobody answers
		text, err := term.NewTerminal(struct {
			io.Reader
			io.Writer
		}{a.in, a.errs}, "").ReadPassword(prompt + ": ")
		answered <- answer{text, err}
	}()
	var got answer
	select {
	case got = <-answered:
	case <-ctx.Done():
		got.err = context.Cause(ctx)
	}
	_ = term.Restore(fd, before) // where it is gone, nobody sees it
	if got.err != nil {
		fmt.Fprintln(a.errs)
	}
	switch {
	case errors.Is(got.err, io.EOF): // Ctrl-C and Ctrl-D
		return "", errInterrupted
	case got.err != nil:
		return "", fmt.Errorf("the password cannot be read: %w", got.err)
	case got.text == "":
		return "", errors.New("no password was given")
	}
	return got.text, nil
}

// confirm asks a person to type a word before something that cannot be undone. Without a terminal it fails: scripts give
// --yes.
func (a *app) confirm(ctx context.Context, question, word string) error {
	if !isTerminal(a.in) {
		return usagef("%s: without a terminal, say --yes", question)
	}
	fmt.Fprintf(a.errs, "%s. Type %q to go on: ", question, word)
	answered := make(chan string, 1)
	go func() { // ends with the program where nobody answers
		line, _ := bufio.NewReader(io.LimitReader(a.in, 1<<10)).ReadString('\n') // nothing is not the word
		answered <- strings.TrimSpace(line)
	}()
	select {
	case line := <-answered:
		if line != word {
			return &fault{status: exitFailed, text: "nothing was done"}
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
