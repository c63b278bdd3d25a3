package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sticky-pi/sticky-pi-server/services/kit/buildinfo"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

type usersCmd struct {
	List   usersListCmd   `cmd:"" help:"List the accounts."`
	Add    usersAddCmd    `cmd:"" help:"Make an account."`
	Reset  usersResetCmd  `cmd:"" help:"Give an account a new password; its tokens end. Everybody may do so for the own account."`
	Delete usersDeleteCmd `cmd:"" help:"Delete an account. What it has stored stays."`
}

type usersListCmd struct {
	outputFlags
	zoneFlag
}

func (c usersListCmd) Run(ctx context.Context, a *app) error {
	client, zone, err := c.open(a)
	if err != nil {
		return err
	}
	users, err := client.GetUsers(ctx)
	if err != nil {
		return err
	}
	return show(a, c.outputFlags, each(users),
		column[spi.User]{"NAME", func(u spi.User) string { return u.Username }},
		column[spi.User]{"ROLE", role},
		column[spi.User]{"E-MAIL", func(u spi.User) string { return orDash(u.Email, plain) }},
		column[spi.User]{"MADE (" + zone.String() + ")", func(u spi.User) string { return shown(u.DatetimeCreated, zone) }},
		column[spi.User]{"ID", func(u spi.User) string { return strconv.FormatInt(u.ID, 10) }},
	)
}

// role is what a user may, as the server reckons it.
func role(u spi.User) string {
	switch {
	case !u.CanWrite:
		return "read only"
	case u.IsAdmin:
		return "admin"
	}
	return "read and write"
}

// newPassword chooses the password of an account.
type newPassword struct {
	PasswordFile string `xor:"password" type:"path" placeholder:"FILE" help:"Read the new password from a file's first line. Otherwise it comes from SPI_NEW_PASSWORD, SPI_NEW_PASSWORD_FILE, a prompt, or a pipe."`
	Generate     bool   `xor:"password" help:"Make up a password and print it, once."`
}

// minPassword is the shortest password of a new account, in characters, as 'sh deploy.sh user add' has it. The server takes
// shorter ones, for the old clients' sake.
const minPassword = 11

// get reads the password, or makes it up.
func (n newPassword) get(ctx context.Context, a *app, name string) (password string, err error) {
	if n.Generate {
		return rand.Text(), nil // 128 bits
	}
	password, err = a.readPassword(ctx, "New password of "+printable(name), n.PasswordFile, "SPI_NEW_PASSWORD", true)
	if length := utf8.RuneCountInString(password); err == nil && length < minPassword {
		err = fmt.Errorf("the password has %d characters: at least %d are needed", length, minPassword)
	}
	return password, err
}

// tell prints a password that was made up.
func (n newPassword) tell(a *app, password string) {
	if n.Generate {
		fmt.Fprintln(a.out, password)
	}
}

type usersAddCmd struct {
	Name     string `arg:"" help:"The new user's name."`
	Email    string `placeholder:"ADDRESS" help:"An e-mail address."`
	Admin    bool   `xor:"role" help:"May do everything, and manage users."`
	ReadOnly bool   `xor:"role" help:"May look at everything and change nothing."`
	newPassword
}

func (c usersAddCmd) Run(ctx context.Context, a *app) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	password, err := c.get(ctx, a, c.Name)
	if err != nil {
		return err
	}
	user := spi.NewUser{Username: c.Name, Password: password, IsAdmin: new(c.Admin), CanWrite: new(!c.ReadOnly)}
	if c.Email != "" {
		user.Email = new(c.Email)
	}
	made, err := client.PutUsers(ctx, user)
	if err != nil {
		return err
	}
	for _, u := range made {
		a.remark("user %q is made: %s", u.Username, role(u))
	}
	c.tell(a, password)
	return nil
}

type usersResetCmd struct {
	Name string `arg:"" help:"The user's name."`
	newPassword
}

func (c usersResetCmd) Run(ctx context.Context, a *app) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	password, err := c.get(ctx, a, c.Name)
	if err != nil {
		return err
	}
	user, err := client.ResetPassword(ctx, c.Name, password)
	if err != nil {
		return err
	}
	a.remark("user %q has a new password; whoever was logged in as that user has to log in again", user.Username)
	c.tell(a, password)
	return nil
}

type usersDeleteCmd struct {
	Name string `arg:"" help:"The user's name."`
	Yes  bool   `help:"Do not ask."`
}

func (c usersDeleteCmd) Run(ctx context.Context, a *app) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	user, err := findUser(ctx, client, c.Name)
	if err != nil {
		return err
	}
	if !c.Yes {
		if err := a.confirm(ctx, fmt.Sprintf("the account %q (%s) will be deleted", user.Username, role(user)), user.Username); err != nil {
			return err
		}
	}
	// by the id: a name would be a pattern
	if _, err := client.DeleteUsers(ctx, spi.UserFilter{"id": user.ID}); err != nil {
		return err
	}
	a.remark("user %q is deleted", user.Username)
	return nil
}

// findUser gives the account of that name.
func findUser(ctx context.Context, client *spi.Client, name string) (spi.User, error) {
	users, err := client.GetUsers(ctx)
	if err != nil {
		return spi.User{}, err
	}
	for _, u := range users {
		if strings.EqualFold(u.Username, name) {
			return u, nil
		}
	}
	return spi.User{}, fmt.Errorf("there is no user %q: 'spi users list' tells which there are", name)
}

type projectsCmd struct {
	List    projectsListCmd    `cmd:"" help:"List the projects that you may see."`
	Create  projectsCreateCmd  `cmd:"" help:"Make a project; you become its admin."`
	Delete  projectsDeleteCmd  `cmd:"" help:"Delete a project with its series; images stay."`
	Members projectsMembersCmd `cmd:"" help:"List who may do what with a project."`
	Permit  projectsPermitCmd  `cmd:"" help:"Say what a user may do with a project."`
	Series  projectsSeriesCmd  `cmd:"" help:"List the series of a project."`
	Add     projectsAddCmd     `cmd:"" help:"Add a series to a project: a device, from when to when, and further columns."`
}

// findProject gives the project of that name, or of that number.
func findProject(ctx context.Context, client *spi.Client, name string) (spi.Project, error) {
	projects, err := client.GetProjects(ctx)
	if err != nil {
		return spi.Project{}, err
	}
	for _, p := range projects {
		if p.Name == name {
			return p, nil
		}
	}
	for _, p := range projects {
		if strconv.FormatInt(p.ID, 10) == name || strings.EqualFold(p.Name, name) {
			return p, nil
		}
	}
	return spi.Project{}, fmt.Errorf("there is no project %q that you may see: 'spi projects list' tells which there are", name)
}

type projectsListCmd struct {
	outputFlags
	zoneFlag
}

func (c projectsListCmd) Run(ctx context.Context, a *app) error {
	client, zone, err := c.open(a)
	if err != nil {
		return err
	}
	projects, err := client.GetProjects(ctx)
	if err != nil {
		return err
	}
	return show(a, c.outputFlags, each(projects),
		column[spi.Project]{"ID", func(p spi.Project) string { return strconv.FormatInt(p.ID, 10) }},
		column[spi.Project]{"NAME", func(p spi.Project) string { return p.Name }},
		column[spi.Project]{"MADE (" + zone.String() + ")", func(p spi.Project) string { return shown(p.DatetimeCreated, zone) }},
		column[spi.Project]{"DESCRIPTION", func(p spi.Project) string { return orDash(p.Description, plain) }},
	)
}

type projectsCreateCmd struct {
	Name        string `arg:"" help:"The project's name, at most 32 characters."`
	Description string `help:"What it is about."`
	Notes       string `help:"Anything else."`
}

func (c projectsCreateCmd) Run(ctx context.Context, a *app) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	project := spi.NewProject{Name: c.Name}
	if c.Description != "" {
		project.Description = new(c.Description)
	}
	if c.Notes != "" {
		project.Notes = new(c.Notes)
	}
	made, err := client.PutProjects(ctx, project)
	if err != nil {
		return err
	}
	for _, p := range made {
		a.remark("project %q is made, with the number %d", p.Name, p.ID)
	}
	return nil
}

type projectArg struct {
	Project string `arg:"" help:"The project's name or number."`
}

// find gives the project, and the client that asked for it.
func (p projectArg) find(ctx context.Context, a *app) (*spi.Client, spi.Project, error) {
	client, err := a.client()
	if err != nil {
		return nil, spi.Project{}, err
	}
	project, err := findProject(ctx, client, p.Project)
	return client, project, err
}

type projectsDeleteCmd struct {
	projectArg
	Yes bool `help:"Do not ask."`
}

func (c projectsDeleteCmd) Run(ctx context.Context, a *app) error {
	client, project, err := c.find(ctx, a)
	if err != nil {
		return err
	}
	if !c.Yes {
		if err := a.confirm(ctx, fmt.Sprintf("the project %q and its series will be deleted", project.Name), project.Name); err != nil {
			return err
		}
	}
	gone, err := client.DeleteProjects(ctx, spi.ProjectFilter{"id": project.ID})
	if err != nil {
		return err
	}
	if len(gone) == 0 {
		return &fault{status: exitLogin, text: fmt.Sprintf("not allowed: only its admins may delete the project %q", project.Name)}
	}
	a.remark("project %q is deleted", project.Name)
	return nil
}

// levels are the words for what a user may do with a project.
var levels = map[string]spi.Level{"none": spi.LevelNone, "read": spi.LevelRead, "write": spi.LevelWrite, "admin": spi.LevelAdmin}

func levelName(l spi.Level) string {
	for name, level := range levels {
		if level == l {
			return name
		}
	}
	return strconv.Itoa(int(l))
}

type projectsMembersCmd struct {
	projectArg
	outputFlags
}

func (c projectsMembersCmd) Run(ctx context.Context, a *app) error {
	client, project, err := c.find(ctx, a)
	if err != nil {
		return err
	}
	members, err := client.GetProjectPermissions(ctx, spi.ProjectFilter{"id": project.ID})
	if err != nil {
		return err
	}
	names := map[int64]string{} // only admins are told them
	if users, err := client.GetUsers(ctx); err == nil {
		for _, u := range users {
			names[u.ID] = u.Username
		}
	} else if spi.CodeOf(err) != spi.CodeForbidden {
		return err
	}
	return show(a, c.outputFlags, each(members),
		column[spi.Permission]{"USER", func(p spi.Permission) string {
			if name, known := names[p.ParentUserID]; known {
				return name
			}
			return fmt.Sprintf("number %d", p.ParentUserID)
		}},
		column[spi.Permission]{"MAY", func(p spi.Permission) string { return levelName(p.Level) }},
	)
}

type projectsPermitCmd struct {
	projectArg
	User  string `arg:"" help:"The user's name, or number (admins alone see the names)."`
	Level string `arg:"" enum:"none,read,write,admin" help:"none takes the permission away."`
}

func (c projectsPermitCmd) Run(ctx context.Context, a *app) error {
	client, project, err := c.find(ctx, a)
	if err != nil {
		return err
	}
	user, err := strconv.ParseInt(c.User, 10, 64)
	if err != nil {
		found, err := findUser(ctx, client, c.User)
		if err != nil {
			return err
		}
		user = found.ID
	}
	if _, err := client.PutProjectPermissions(ctx, spi.NewPermission{ProjectID: project.ID, UserID: user, Level: levels[c.Level]}); err != nil {
		return err
	}
	a.remark("user %s: %s on the project %q", printable(c.User), c.Level, project.Name)
	return nil
}

type projectsSeriesCmd struct {
	projectArg
	outputFlags
	zoneFlag
}

// seriesRow is a series with its own columns as one value.
type seriesRow struct {
	ID              int64        `json:"id"`
	ProjectID       int64        `json:"project_id"`
	Device          string       `json:"device"`
	Start           spi.Datetime `json:"start_datetime"`
	End             spi.Datetime `json:"end_datetime"`
	Columns         string       `json:"columns"` // a JSON object
	DatetimeCreated spi.Datetime `json:"datetime_created"`
	APIVersion      *string      `json:"api_version"`
	APIUser         *string      `json:"api_user"`
}

func (projectsSeriesCmd) Help() string {
	return "A project's own columns stand beside the others in --json, and as one JSON object in --csv."
}

func (c projectsSeriesCmd) Run(ctx context.Context, a *app) error {
	client, zone, err := c.open(a)
	if err != nil {
		return err
	}
	project, err := findProject(ctx, client, c.Project)
	if err != nil {
		return err
	}
	rows := client.GetProjectSeries(ctx, project.ID)
	if c.JSON {
		return show(a, c.outputFlags, rows)
	}
	flat := func(yield func(seriesRow, error) bool) {
		for s, err := range rows {
			row := seriesRow{ID: s.ID, ProjectID: s.ProjectID, Device: s.Device, Start: s.Start, End: s.End,
				DatetimeCreated: s.DatetimeCreated, APIVersion: s.APIVersion, APIUser: s.APIUser}
			if err == nil {
				var own []byte
				own, err = json.Marshal(s.Columns)
				row.Columns = string(own)
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
	return show(a, c.outputFlags, flat,
		column[seriesRow]{"DEVICE", func(s seriesRow) string { return s.Device }},
		column[seriesRow]{"FROM (" + zone.String() + ")", func(s seriesRow) string { return shown(s.Start, zone) }},
		column[seriesRow]{"TO", func(s seriesRow) string { return shown(s.End, zone) }},
		column[seriesRow]{"COLUMNS", func(s seriesRow) string { return s.Columns }},
	)
}

type projectsAddCmd struct {
	projectArg
	Device string            `required:"" short:"d" help:"The device."`
	Since  string            `required:"" placeholder:"DATE" help:"From when on: ${dates}."`
	Until  string            `required:"" placeholder:"DATE" help:"Before when; a day is meant with all of it."`
	Column map[string]string `short:"c" placeholder:"NAME=VALUE" help:"A further column; a value that is a number is stored as one. May be given several times."`
	zoneFlag
}

func (c projectsAddCmd) Run(ctx context.Context, a *app) error {
	series, _, err := rangeFlags{Since: c.Since, Until: c.Until, zoneFlag: c.zoneFlag}.series(time.Now())
	if err != nil {
		return err
	}
	client, project, err := c.find(ctx, a)
	if err != nil {
		return err
	}
	row := spi.NewProjectSeries{ProjectID: project.ID, Device: c.Device, Start: series[0].Start, End: series[0].End, Columns: map[string]any{}}
	for name, value := range c.Column {
		row.Columns[name] = value
		var number json.Number
		if json.Unmarshal([]byte(value), &number) == nil && number.String() == value {
			row.Columns[name] = number
		}
	}
	added, err := client.PutProjectSeries(ctx, row)
	if err != nil {
		return err
	}
	a.remark("%d series added to the project %q", len(added), project.Name)
	return nil
}

type versionCmd struct{}

func (versionCmd) Run(a *app) error {
	_, err := fmt.Fprintf(a.out, "spi %s (protocol %s, %s, %s/%s)\n", buildinfo.Version, spi.APIVersion, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
