package httpapi

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gin-gonic/gin"

	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

var (
	//go:embed docs/page.html
	docsPage string
	//go:embed docs/page.css
	docsStyle string
)

// docs shows the OpenAPI document to people: one page without scripts, that loads nothing from anywhere.
func (a *api) docs(c *gin.Context) {
	page, err := a.docsHTML()
	if err != nil {
		a.fail(c, spi.Wrap(spi.CodeInternal, err, "the page cannot be made; /openapi.yaml says the same"))
		return
	}
	style := sha256.Sum256([]byte(docsStyle))
	c.Header("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src 'sha256-"+
		base64.StdEncoding.EncodeToString(style[:])+"'")
	c.Header("X-Content-Type-Options", "nosniff")
	c.Data(http.StatusOK, "text/html; charset=utf-8", page)
}

// What the page shows.
type (
	docsModel struct {
		Title, Version string
		Style          template.CSS
		Intro          []template.HTML
		Groups         []docsGroup
		Errors         []docsReply
		Schemas        []docsSchema
	}
	docsGroup struct {
		Name        string
		Description template.HTML
		Operations  []docsOperation
	}
	docsOperation struct {
		ID, Method, Path, Summary string
		Description               []template.HTML
		Parameters                []docsField
		Bodies                    []docsBody
		Replies                   []docsReply
		Errors                    []string // statuses
	}
	docsReply struct {
		Status      string
		Description template.HTML
		Bodies      []docsBody
	}
	docsBody struct {
		Media    string
		Type     template.HTML
		Examples []docsExample
	}
	docsExample struct{ Summary, Text string }
	docsField   struct {
		Name        string
		Type        template.HTML
		Required    bool
		Description template.HTML
	}
	docsSchema struct {
		Name              string
		Description, Type template.HTML
		Fields            []docsField
	}
)

// renderDocs makes the page of a document.
func renderDocs(text []byte) ([]byte, error) {
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, err
	}
	page, err := template.New("docs").Parse(docsPage)
	if err != nil {
		return nil, err
	}
	m := docsModel{
		Title: doc.Info.Title, Version: doc.Info.Version, Intro: paragraphs(doc.Info.Description),
		Style: template.CSS(docsStyle), //nolint:gosec // our own file
	}
	for _, tag := range doc.Tags {
		group := docsGroup{Name: tag.Name, Description: prose(tag.Description)}
		for _, path := range pathsOf(text) {
			item := doc.Paths.Value(path)
			if item == nil {
				continue
			}
			for method, op := range item.Operations() {
				if slices.Contains(op.Tags, tag.Name) {
					group.Operations = append(group.Operations, operation(method, path, item, op))
				}
			}
		}
		m.Groups = append(m.Groups, group)
	}
	for _, name := range slices.Sorted(maps.Keys(doc.Components.Responses)) {
		if r := doc.Components.Responses[name].Value; r.Description != nil {
			m.Errors = append(m.Errors, docsReply{Status: statusOfReply(r), Description: prose(*r.Description)})
		}
	}
	slices.SortFunc(m.Errors, func(a, b docsReply) int { return strings.Compare(a.Status, b.Status) })
	for _, name := range slices.Sorted(maps.Keys(doc.Components.Schemas)) {
		m.Schemas = append(m.Schemas, schema(name, doc.Components.Schemas[name].Value))
	}
	var out bytes.Buffer
	err = page.Execute(&out, m)
	return out.Bytes(), err
}

var pathLine = regexp.MustCompile(`(?m)^  (/[^\s:]+):$`)

// pathsOf gives the paths in the order in which they are written, which the parser forgets.
func pathsOf(text []byte) []string {
	var paths []string
	for _, m := range pathLine.FindAllSubmatch(text, -1) {
		paths = append(paths, string(m[1]))
	}
	return paths
}

// statusOfReply is the status of one of the errors that operations share: that of its example's code.
func statusOfReply(r *openapi3.Response) string {
	media := r.Content["application/json"]
	if media == nil {
		return ""
	}
	text, err := json.Marshal(media.Example)
	var e struct {
		Error struct {
			Code spi.Code `json:"code"`
		} `json:"error"`
	}
	if err != nil || json.Unmarshal(text, &e) != nil {
		return ""
	}
	return strconv.Itoa(e.Error.Code.Status())
}

func operation(method, path string, item *openapi3.PathItem, op *openapi3.Operation) docsOperation {
	o := docsOperation{ID: op.OperationID, Method: method, Path: path, Summary: op.Summary, Description: paragraphs(op.Description)}
	for _, p := range slices.Concat(item.Parameters, op.Parameters) {
		o.Parameters = append(o.Parameters, docsField{Name: p.Value.Name, Type: typeOf(p.Value.Schema), Description: prose(p.Value.Description)})
	}
	if op.RequestBody != nil {
		o.Bodies = bodies(op.RequestBody.Value.Content)
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses.Map())) {
		r := op.Responses.Value(status)
		if r.Ref != "" {
			o.Errors = append(o.Errors, status)
			continue
		}
		reply := docsReply{Status: status, Bodies: bodies(r.Value.Content)}
		if r.Value.Description != nil {
			reply.Description = prose(*r.Value.Description)
		}
		o.Replies = append(o.Replies, reply)
	}
	return o
}

func bodies(content openapi3.Content) []docsBody {
	var all []docsBody
	for _, media := range slices.Sorted(maps.Keys(content)) {
		m := content[media]
		b := docsBody{Media: media, Type: typeOf(m.Schema)}
		if m.Example != nil {
			b.Examples = append(b.Examples, docsExample{"Example", example(m.Example)})
		}
		for _, name := range slices.Sorted(maps.Keys(m.Examples)) {
			e := m.Examples[name].Value
			summary := e.Summary
			if summary == "" {
				summary = name
			}
			b.Examples = append(b.Examples, docsExample{summary, example(e.Value)})
		}
		all = append(all, b)
	}
	return all
}

func example(value any) string {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false) // the template does it
	enc.SetIndent("", "  ")
	if err := enc.Encode(value); err != nil {
		return fmt.Sprint(value)
	}
	return strings.TrimSpace(out.String())
}

func schema(name string, s *openapi3.Schema) docsSchema {
	d := docsSchema{Name: name, Description: prose(s.Description)}
	for _, field := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[field]
		f := docsField{Name: field, Type: typeOf(p), Required: slices.Contains(s.Required, field)}
		if p.Ref == "" { // else it stands with what it refers to
			f.Description = prose(p.Value.Description)
		}
		d.Fields = append(d.Fields, f)
	}
	if len(d.Fields) == 0 {
		d.Type = typeOf(&openapi3.SchemaRef{Value: s})
	}
	return d
}

// typeOf says what a value may be, in words; a schema that has a name is a link to it.
func typeOf(ref *openapi3.SchemaRef) template.HTML {
	if ref == nil || ref.Value == nil {
		return ""
	}
	if name, ok := strings.CutPrefix(ref.Ref, "#/components/schemas/"); ok {
		name = template.HTMLEscapeString(name)
		return template.HTML(`<a href="#schema-` + name + `">` + name + `</a>`) //nolint:gosec // escaped above
	}
	s := ref.Value
	parts := []string{}
	switch {
	case len(s.Enum) > 0:
		var values []string
		for _, v := range s.Enum {
			values = append(values, "<code>"+template.HTMLEscapeString(fmt.Sprint(v))+"</code>")
		}
		parts = append(parts, strings.Join(values, ", "))
	case s.Type.Is("array"):
		parts = append(parts, "a list of "+string(typeOf(s.Items)))
	case len(s.AllOf)+len(s.OneOf)+len(s.AnyOf) > 0:
		var of []string
		for _, r := range slices.Concat(s.AllOf, s.OneOf, s.AnyOf) {
			if t := string(typeOf(r)); t != "" {
				of = append(of, t)
			}
		}
		join := " or "
		if len(s.AllOf) > 0 {
			join = ", "
		}
		parts = append(parts, strings.Join(of, join))
	case s.Type != nil:
		parts = append(parts, template.HTMLEscapeString(strings.Join(s.Type.Slice(), " or ")))
	}
	if s.Pattern != "" {
		parts = append(parts, "<code>"+template.HTMLEscapeString(s.Pattern)+"</code>")
	}
	if s.MaxLength != nil {
		parts = append(parts, "at most "+strconv.FormatUint(*s.MaxLength, 10)+" characters")
	}
	if s.Nullable {
		parts = append(parts, "or null")
	}
	return template.HTML(strings.Join(parts, ", ")) //nolint:gosec // every part is escaped above
}

var (
	codeMark = regexp.MustCompile("`([^`]+)`")
	boldMark = regexp.MustCompile(`\*\*([^*]+)\*\*`)
)

// prose turns the two marks that the document uses, `code` and **bold**, into HTML.
func prose(text string) template.HTML {
	s := template.HTMLEscapeString(strings.TrimSpace(text))
	s = codeMark.ReplaceAllString(s, "<code>$1</code>")
	s = boldMark.ReplaceAllString(s, "<strong>$1</strong>")
	return template.HTML(s) //nolint:gosec // escaped above
}

func paragraphs(text string) []template.HTML {
	var all []template.HTML
	for p := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		if p != "" {
			all = append(all, prose(p))
		}
	}
	return all
}
