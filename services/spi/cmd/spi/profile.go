package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

// profile is one log-in, as it is kept between two runs. The password is not.
type profile struct {
	Host   string    `json:"host"` // the API's URL
	User   string    `json:"user"`
	Token  spi.Token `json:"token"`
	Renew  time.Time `json:"renew"`             // when to get a new token, by this machine's clock
	CAFile string    `json:"ca_file,omitempty"` // absolute
}

// settings is the file of all log-ins, by the profile's name.
type settings struct {
	Profiles map[string]profile `json:"profiles"`
}

// errNoProfile is the error of a profile that is not there.
var errNoProfile = errors.New("no such log-in")

// settingsPath is the file in which log-ins are kept.
func (a *app) settingsPath() (string, error) {
	if a.Settings != "" {
		return a.Settings, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("there is no folder for settings (%w): give a file by --settings", err)
	}
	return filepath.Join(dir, "sticky-pi", "login.json"), nil
}

// loadSettings reads the file; one that is not there has no profile.
func loadSettings(path string) (settings, error) {
	text, err := readSmall(path)
	if errors.Is(err, fs.ErrNotExist) {
		return settings{}, nil
	}
	if err != nil {
		return settings{}, fmt.Errorf("the saved log-in cannot be read: %w", err)
	}
	var s settings
	if err := json.Unmarshal(text, &s); err != nil {
		return settings{}, fmt.Errorf("the saved log-in in %s is damaged: delete that file and run 'spi login' again", path)
	}
	return s, nil
}

// loadProfile gives a saved log-in, or errNoProfile.
func loadProfile(path, name string) (profile, error) {
	s, err := loadSettings(path)
	if err != nil {
		return profile{}, err
	}
	p, there := s.Profiles[name]
	if !there {
		return profile{}, errNoProfile
	}
	return p, nil
}

// saveProfile keeps a log-in, for the user alone to read.
func saveProfile(path, name string, p profile) error {
	return changeSettings(path, func(s *settings) { s.Profiles[name] = p })
}

// renewProfile keeps the new token of a log-in, where that log-in is still the one that is kept: a program that runs for days
// must not bring back one that was ended or replaced meanwhile.
func renewProfile(path, name string, p profile) error {
	s, err := loadSettings(path)
	if kept := s.Profiles[name]; err != nil || kept.Host != p.Host || kept.User != p.User {
		return err
	}
	return saveProfile(path, name, p)
}

// changeSettings replaces the file as a whole, so that nobody ever reads half of it. Two programs that change it at once:
// one of the changes is lost.
func changeSettings(path string, change func(*settings)) error {
	s, err := loadSettings(path)
	if err != nil {
		return err
	}
	if s.Profiles == nil {
		s.Profiles = map[string]profile{}
	}
	change(&s)
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".login-*.json") // mode 600
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
