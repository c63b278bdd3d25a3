package spi

import (
	"encoding/json"
	"fmt"
	"maps"
)

// Level is what a user may do with a project. Each may all that those below it may.
type Level int

// The levels.
const (
	LevelNone  Level = 0 // removes a permission
	LevelRead  Level = 1 // see the project, its permissions and its series
	LevelWrite Level = 2 // add series
	LevelAdmin Level = 3 // set permissions, delete the project
)

// NewProject is a project to make.
type NewProject struct {
	Name        string  `json:"name"` // at most 32 characters
	Description *string `json:"description,omitempty"`
	Notes       *string `json:"notes,omitempty"`
}

// Project is a study: a name for series of devices and times.
type Project struct {
	ID              int64    `json:"id"`
	Name            string   `json:"name"`
	Description     *string  `json:"description"`
	Notes           *string  `json:"notes"`
	DatetimeCreated Datetime `json:"datetime_created"`
	APIVersion      *string  `json:"api_version"`
	APIUser         *string  `json:"api_user"`
}

// NewPermission is a permission to set.
type NewPermission struct {
	ProjectID int64 `json:"project_id"`
	UserID    int64 `json:"user_id"`
	Level     Level `json:"level"`
}

// Permission says what a user may do with a project.
type Permission struct {
	ID              int64    `json:"id"`
	ParentProjectID int64    `json:"parent_project_id"`
	ParentUserID    int64    `json:"parent_user_id"`
	Level           Level    `json:"level"`
	DatetimeCreated Datetime `json:"datetime_created"`
	APIVersion      *string  `json:"api_version"`
	APIUser         *string  `json:"api_user"`
}

// NewProjectSeries is a row to add to a project: a device, from when to when, and the project's own columns. A column's name
// has letters, digits and underscores; its value is a string, a number, a [Datetime] or nil.
type NewProjectSeries struct {
	ProjectID int64
	Device    string
	Start     Datetime
	End       Datetime
	Columns   map[string]any
}

// MarshalJSON writes the columns beside the fields.
func (s NewProjectSeries) MarshalJSON() ([]byte, error) {
	fields := map[string]any{"project_id": s.ProjectID, "device": s.Device, "start_datetime": s.Start, "end_datetime": s.End}
	for name, value := range s.Columns {
		if _, own := fields[name]; own {
			return nil, fmt.Errorf("%q cannot be the name of a column", name)
		}
		fields[name] = value
	}
	return json.Marshal(fields)
}

// ProjectSeries is a row of a project. The columns' values are strings, [json.Number] or nil.
type ProjectSeries struct {
	ID              int64
	ProjectID       int64
	Device          string
	Start           Datetime
	End             Datetime
	Columns         map[string]any
	DatetimeCreated Datetime
	APIVersion      *string
	APIUser         *string
}

// UnmarshalJSON reads the columns, which are the fields that are not its own.
func (s *ProjectSeries) UnmarshalJSON(b []byte) error {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	own := map[string]any{
		"id": &s.ID, "project_id": &s.ProjectID, "device": &s.Device, "start_datetime": &s.Start, "end_datetime": &s.End,
		"datetime_created": &s.DatetimeCreated, "api_version": &s.APIVersion, "api_user": &s.APIUser,
	}
	for name, place := range own {
		value, there := raw[name]
		if !there {
			return fmt.Errorf("a row of a project has no %s", name)
		}
		if err := json.Unmarshal(value, place); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	maps.DeleteFunc(raw, func(name string, _ json.RawMessage) bool { return own[name] != nil })
	s.Columns = make(map[string]any, len(raw))
	for name, value := range raw {
		if value[0] == '"' || string(value) == "null" {
			var text *string
			if err := json.Unmarshal(value, &text); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if s.Columns[name] = nil; text != nil {
				s.Columns[name] = *text
			}
			continue
		}
		var number json.Number
		if err := json.Unmarshal(value, &number); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		s.Columns[name] = number
	}
	return nil
}

// MarshalJSON writes the columns beside the fields, as the server does.
func (s ProjectSeries) MarshalJSON() ([]byte, error) {
	fields := map[string]any{
		"id": s.ID, "project_id": s.ProjectID, "device": s.Device, "start_datetime": s.Start, "end_datetime": s.End,
		"datetime_created": s.DatetimeCreated, "api_version": s.APIVersion, "api_user": s.APIUser,
	}
	for name, value := range s.Columns {
		if _, own := fields[name]; own {
			return nil, fmt.Errorf("%q cannot be the name of a column", name)
		}
		fields[name] = value
	}
	return json.Marshal(fields)
}
