package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sticky-pi/sticky-pi-server/server"
	"github.com/sticky-pi/sticky-pi-server/services/kit/config"
)

type userCmd struct {
	List   userListCmd   `cmd:"" help:"List the accounts."`
	Add    userAddCmd    `cmd:"" help:"Make an account; its password is the first line of the standard input."`
	Reset  userResetCmd  `cmd:"" help:"Give an account a new password, the first line of the standard input; its tokens end."`
	Delete userDeleteCmd `cmd:"" help:"Delete an account. What it has stored stays."`
}

// withUsers opens the accounts of the configured database. Its driver's remarks are for the server's log, not for people.
func withUsers(do func(*server.Users) error) error {
	src := config.Load()
	cfg := server.ConfigFrom(src)
	if err := src.Err(); err != nil {
		return err
	}
	users, err := server.OpenUsers(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return errors.Join(do(users), users.Close())
}

type userListCmd struct{}

func (userListCmd) Run(ctx context.Context) error {
	return withUsers(func(users *server.Users) error {
		all, err := users.List(ctx)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "NAME\tROLE\tE-MAIL\tMADE (UTC)")
		for _, u := range all {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", u.Username, u.Role(), u.Email, u.Created.Format(time.DateTime))
		}
		return w.Flush()
	})
}

type userAddCmd struct {
	Name     string `arg:"" help:"The new user's name."`
	Email    string `help:"An e-mail address."`
	Admin    bool   `help:"May do everything, and manage users."`
	ReadOnly bool   `help:"May look at everything and change nothing."`
}

func (c userAddCmd) Run(ctx context.Context) error {
	if c.Admin && c.ReadOnly {
		return errors.New("an admin can write: give --admin or --read-only")
	}
	password, err := readPassword(os.Stdin)
	if err != nil {
		return err
	}
	return withUsers(func(users *server.Users) error {
		user := server.User{Username: c.Name, Email: c.Email, IsAdmin: c.Admin, CanWrite: !c.ReadOnly}
		if err := users.Add(ctx, user, password); err != nil {
			return err
		}
		fmt.Fprintf(os.Stdout, "user %q is made: %s\n", c.Name, user.Role())
		return nil
	})
}

type userResetCmd struct {
	Name string `arg:"" help:"The user's name."`
}

func (c userResetCmd) Run(ctx context.Context) error {
	password, err := readPassword(os.Stdin)
	if err != nil {
		return err
	}
	return withUsers(func(users *server.Users) error {
		if err := users.Reset(ctx, c.Name, password); err != nil {
			return err
		}
		fmt.Fprintf(os.Stdout, "user %q has a new password\n", c.Name)
		return nil
	})
}

type userDeleteCmd struct {
	Name string `arg:"" help:"The user's name."`
}

func (c userDeleteCmd) Run(ctx context.Context) error {
	return withUsers(func(users *server.Users) error {
		if err := users.Delete(ctx, c.Name); err != nil {
			return err
		}
		fmt.Fprintf(os.Stdout, "user %q is deleted\n", c.Name)
		return nil
	})
}

// readPassword reads the first line.
func readPassword(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, 64<<10)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	password := strings.TrimRight(line, "\r\n")
	if n := len([]rune(password)); n < server.MinPassword {
		return "", fmt.Errorf("the password has %d characters: at least %d are needed", n, server.MinPassword)
	}
	return password, nil
}

type pendingCmd struct{}

// Run prints one word for scripts; an error has exit status 1 and no word.
func (pendingCmd) Run(ctx context.Context) error {
	src := config.Load()
	cfg := server.Config{MariaDB: server.MariaDBFrom(src)}
	if err := src.Err(); err != nil {
		return err
	}
	pending, err := server.Pending(ctx, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	answer := "none"
	if pending {
		answer = "pending"
	}
	_, err = fmt.Fprintln(os.Stdout, answer)
	return err
}
