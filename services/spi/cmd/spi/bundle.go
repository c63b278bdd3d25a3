package main

import (
	"context"
	"fmt"
	"time"

	kitprogress "github.com/sticky-pi/sticky-pi-server/services/kit/progress"
	"github.com/sticky-pi/sticky-pi-server/services/spi"
)

type bundleCmd struct {
	List bundleListCmd `cmd:"" help:"List the files of a bundle on the server."`
	Pull bundlePullCmd `cmd:"" help:"Bring a folder up to date with a bundle."`
	Push bundlePushCmd `cmd:"" help:"Bring a bundle up to date with a folder."`
}

type partFlag struct {
	Part string `enum:"all,data,model" default:"all" help:"all; data: the folders data and config; model: the folders output and config."`
}

type bundleListCmd struct {
	Name string `arg:"" help:"The bundle's name."`
	partFlag
	outputFlags
	zoneFlag
}

func (c bundleListCmd) Run(ctx context.Context, a *app) error {
	client, zone, err := c.open(a)
	if err != nil {
		return err
	}
	files, err := client.GetBundleFiles(ctx, c.Name, spi.BundlePart(c.Part))
	if err != nil {
		return err
	}
	err = show(a, c.outputFlags, each(files),
		column[spi.BundleFile]{"FILE", func(f spi.BundleFile) string { return f.Key }},
		column[spi.BundleFile]{"CHANGED (" + zone.String() + ")", func(f spi.BundleFile) string {
			return time.UnixMilli(int64(f.MTime * 1000)).In(zone).Format(time.DateTime)
		}},
		column[spi.BundleFile]{"MD5", func(f spi.BundleFile) string { return f.MD5 }},
	)
	if err == nil && len(files) == 0 && !c.JSON && !c.CSV {
		a.remark("the server has no files of a bundle %q", c.Name)
	}
	return err
}

type bundlePullCmd struct {
	Name   string `arg:"" help:"The bundle's name."`
	Folder string `arg:"" type:"path" help:"The folder; files in it that the bundle does not have are left alone."`
	partFlag
}

func (c bundlePullCmd) Run(ctx context.Context, a *app) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	p := a.progress("downloaded", "files")
	pulled, err := client.PullBundle(ctx, c.Name, spi.BundlePart(c.Part), c.Folder, bundleProgress(p))
	return bundleDone(a, p, pulled, err)
}

type bundlePushCmd struct {
	Name   string `arg:"" help:"The bundle's name."`
	Folder string `arg:"" type:"path" help:"The folder; hidden files and those of kinds that bundles do not serve are left out."`
}

func (c bundlePushCmd) Run(ctx context.Context, a *app) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	p := a.progress("uploaded", "files")
	pushed, err := client.PushBundle(ctx, c.Name, c.Folder, bundleProgress(p))
	return bundleDone(a, p, pushed, err)
}

// bundleProgress shows what the client tells of a bundle, file by file.
func bundleProgress(p *progress) func(spi.BundleProgress) {
	var last spi.BundleProgress
	return func(now spi.BundleProgress) {
		if last.OfFiles == 0 {
			p.Expect(int64(now.OfFiles))
			p.Counted()
		}
		for n := last.Files; n < now.Files; n++ {
			p.Done()
		}
		from := last.Done
		if now.Key != last.Key {
			from = 0
		}
		p.Moved(now.Done - from)
		last = now
	}
}

func bundleDone(a *app, p *progress, keys []string, err error) error {
	p.Stop()
	for _, key := range keys {
		fmt.Fprintln(a.out, printable(key))
	}
	if err == nil && !a.Quiet {
		a.remark("%s %s (%s); the others were up to date", kitprogress.Count(int64(len(keys)), "file", "files"), p.verb, kitprogress.Size(p.moved.Load()))
	}
	return err
}
